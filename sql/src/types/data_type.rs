//! A type as an expression or column has it: OID and modifier, and its name in SQL.

use super::{Oid, TypeCatalog, oids};

/// A type with its modifier, -1 where there is none.
///
/// Modifiers are packed as PostgreSQL packs them: `varchar(n)` and `char(n)` n + 4, `numeric(p, s)`
/// `((p << 16) | (s & 0x7ff)) + 4`, times their precision, intervals `fields << 16 | precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataType {
    pub oid: Oid,
    pub typmod: i32,
}

macro_rules! data_types {
    ($($name:ident)*) => {
        $(pub const $name: DataType = DataType::of(oids::$name);)*
    };
}

impl DataType {
    data_types! {
        BOOL BYTEA CHAR NAME INT8 INT2 INT4 TEXT OID JSON FLOAT4 FLOAT8 BPCHAR VARCHAR DATE TIME TIMESTAMP
        TIMESTAMPTZ INTERVAL TIMETZ NUMERIC RECORD UUID JSONB UNKNOWN VOID REGCLASS REGTYPE TEXT_ARRAY
        NAME_ARRAY INT2_ARRAY INT4_ARRAY INT8_ARRAY OID_ARRAY CHAR_ARRAY OIDVECTOR INT2VECTOR
    }

    /// A type without modifier.
    #[must_use]
    pub const fn of(oid: Oid) -> DataType {
        DataType { oid, typmod: -1 }
    }

    /// `varchar(length)`.
    #[must_use]
    pub const fn varchar(length: i32) -> DataType {
        DataType { oid: oids::VARCHAR, typmod: length + 4 }
    }

    /// `char(length)`.
    #[must_use]
    pub const fn bpchar(length: i32) -> DataType {
        DataType { oid: oids::BPCHAR, typmod: length + 4 }
    }

    /// `numeric(precision, scale)`; the scale may be negative.
    #[must_use]
    pub const fn numeric(precision: i32, scale: i32) -> DataType {
        DataType { oid: oids::NUMERIC, typmod: ((precision << 16) | (scale & 0x7ff)) + 4 }
    }

    /// The precision and scale of a numeric type that has them.
    #[must_use]
    pub const fn numeric_precision_scale(&self) -> Option<(i32, i32)> {
        if self.oid != oids::NUMERIC || self.typmod < 4 {
            return None;
        }
        let packed = self.typmod - 4;
        // The scale is an 11-bit two's complement number.
        Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
    }

    /// The length of a `varchar(n)` or `char(n)`.
    #[must_use]
    pub const fn character_length(&self) -> Option<i32> {
        match self.oid {
            oids::VARCHAR | oids::BPCHAR if self.typmod >= 4 => Some(self.typmod - 4),
            _ => None,
        }
    }
}

/// PostgreSQL's `format_type(oid, typmod)`: `character varying(10)`, `numeric(5,2)[]`, `timestamp(3) without
/// time zone`.
#[must_use]
pub fn format_type(data_type: DataType, catalog: &dyn TypeCatalog) -> String {
    let Some(info) = catalog.type_by_oid(data_type.oid) else { return "???".to_owned() };
    if let Some(element) = info.element()
        && info.category == super::Category::Array
        && info.length == -1
        && !matches!(info.oid, oids::INT2VECTOR | oids::OIDVECTOR)
    {
        let element = DataType { oid: element, typmod: data_type.typmod };
        return format!("{}[]", format_type(element, catalog));
    }
    let typmod = data_type.typmod;
    if typmod < 0 {
        // A bare bpchar has no length limit, unlike `character`, which means `character(1)`.
        return catalog.sql_name(info);
    }
    match data_type.oid {
        oids::VARCHAR => format!("character varying({})", typmod - 4),
        oids::BPCHAR => format!("character({})", typmod - 4),
        oids::NUMERIC => match data_type.numeric_precision_scale() {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => "numeric".to_owned(),
        },
        oids::TIME => format!("time({typmod}) without time zone"),
        oids::TIMETZ => format!("time({typmod}) with time zone"),
        oids::TIMESTAMP => format!("timestamp({typmod}) without time zone"),
        oids::TIMESTAMPTZ => format!("timestamp({typmod}) with time zone"),
        oids::INTERVAL => format_interval_type(typmod),
        oids::BIT => format!("bit({typmod})"),
        oids::VARBIT => format!("bit varying({typmod})"),
        _ => catalog.sql_name(info),
    }
}

/// `interval`, `interval(3)`, `interval day to second`, `interval second(2)`.
fn format_interval_type(typmod: i32) -> String {
    const FIELDS: [(i32, &str); 14] = [
        (4, " year"),
        (2, " month"),
        (8, " day"),
        (1024, " hour"),
        (2048, " minute"),
        (4096, " second"),
        (6, " year to month"),
        (1032, " day to hour"),
        (3080, " day to minute"),
        (7176, " day to second"),
        (3072, " hour to minute"),
        (7168, " hour to second"),
        (6144, " minute to second"),
        (0x7fff, ""),
    ];
    let (range, precision) = ((typmod >> 16) & 0x7fff, typmod & 0xffff);
    let fields = FIELDS.iter().find(|(mask, _)| *mask == range).map_or("", |(_, name)| name);
    if precision == 0xffff { format!("interval{fields}") } else { format!("interval{fields}({precision})") }
}
