//! CREATE SEQUENCE and ALTER SEQUENCE, and the sequences behind serial and identity columns.

use sqlparser::ast;

use super::{Ddl, constraint};
use crate::binder::{Relation, data_type, name};
use crate::catalog::PG_CLASS;
use crate::catalog::{Identity, Sequence, SequenceOwner, Table, TypeScope, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::SequenceOption;
use crate::rights::must_own;
use crate::sequence::{Limits, Position};
use crate::types::{BuiltinTypes, DataType, format_type, oids};

/// A sequence that a new column wants.
pub struct Wanted {
    pub column: i16,
    pub type_oid: u32,
    pub options: Vec<SequenceOption>,
    pub identity: Option<Identity>,
}

/// The integer type that `serial` and its like stand for.
pub fn serial_type(data_type: &ast::DataType) -> Option<DataType> {
    let ast::DataType::Custom(object, _) = data_type else { return None };
    match name::split(object).ok()? {
        (None, base) => match base.as_str() {
            "smallserial" | "serial2" => Some(DataType::INT2),
            "serial" | "serial4" => Some(DataType::INT4),
            "bigserial" | "serial8" => Some(DataType::INT8),
            _ => None,
        },
        _ => None,
    }
}

/// The values of a type of numbers.
fn bounds(type_oid: u32) -> (i64, i64) {
    match type_oid {
        oids::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oids::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// 22023 for a type that has no numbers to count with.
pub fn check_type(type_oid: u32, is_identity: bool) -> Result<()> {
    if matches!(type_oid, oids::INT2 | oids::INT4 | oids::INT8) {
        return Ok(());
    }
    let what = if is_identity { "identity column" } else { "sequence" };
    Err(SqlError::invalid_parameter(format!("{what} type must be smallint, integer, or bigint")))
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| {
        SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type bigint"),
        )
    })
}

/// A sequence under its options: all of them for a new one, some for one that is changed.
struct Change<'s> {
    sequence: &'s mut Sequence,
    is_new: bool,
    is_identity: bool,
    position: Position,
    /// The position was given by RESTART.
    restarted: bool,
}

impl Change<'_> {
    fn apply(&mut self, options: &[SequenceOption]) -> Result<()> {
        for (at, option) in options.iter().enumerate() {
            let same =
                |other: &SequenceOption| std::mem::discriminant(other) == std::mem::discriminant(option);
            if options[..at].iter().any(same) {
                return Err(SqlError::syntax("conflicting or redundant options"));
            }
        }
        // The bound of the type that it had becomes that of the type that it gets.
        let (mut follows_minimum, mut follows_maximum) = (false, false);
        if let Some(data_type) = options.iter().find_map(|option| match option {
            SequenceOption::As(data_type) => Some(data_type),
            _ => None,
        }) {
            let (minimum, maximum) = bounds(self.sequence.type_oid);
            follows_minimum = !self.is_new && self.sequence.limits.minimum == minimum;
            follows_maximum = !self.is_new && self.sequence.limits.maximum == maximum;
            self.sequence.type_oid = data_type::resolve(data_type, TypeScope::builtin())?.oid;
        }
        check_type(self.sequence.type_oid, self.is_identity)?;
        self.set_increment(options)?;
        let (lowest, highest) = bounds(self.sequence.type_oid);
        if follows_minimum {
            self.sequence.limits.minimum = lowest;
        }
        if follows_maximum {
            self.sequence.limits.maximum = highest;
        }
        self.set_bounds(options, self.is_new, self.is_new)?;
        self.set_start(options)?;
        for option in options {
            if let SequenceOption::Cache(value) = option {
                let cache = number(value)?;
                if cache <= 0 {
                    return Err(SqlError::invalid_parameter(format!(
                        "CACHE ({cache}) must be greater than zero"
                    )));
                }
                self.sequence.cache = cache;
            }
        }
        Ok(())
    }

    fn set_increment(&mut self, options: &[SequenceOption]) -> Result<()> {
        for option in options {
            match option {
                SequenceOption::Increment(value) => {
                    self.sequence.limits.increment = number(value)?;
                    if self.sequence.limits.increment == 0 {
                        return Err(SqlError::invalid_parameter("INCREMENT must not be zero"));
                    }
                }
                SequenceOption::Cycle(cycle) => self.sequence.limits.cycle = *cycle,
                _ => {}
            }
        }
        Ok(())
    }

    fn set_bounds(&mut self, options: &[SequenceOption], mut minimum: bool, mut maximum: bool) -> Result<()> {
        let (lowest, highest) = bounds(self.sequence.type_oid);
        let limits = &mut self.sequence.limits;
        let ascending = limits.increment > 0;
        for option in options {
            match option {
                SequenceOption::Maximum(Some(value)) => {
                    limits.maximum = number(value)?;
                    maximum = false;
                }
                SequenceOption::Minimum(Some(value)) => {
                    limits.minimum = number(value)?;
                    minimum = false;
                }
                SequenceOption::Maximum(None) => maximum = true,
                SequenceOption::Minimum(None) => minimum = true,
                _ => {}
            }
        }
        if maximum {
            limits.maximum = if ascending { highest } else { -1 };
        }
        if minimum {
            limits.minimum = if ascending { 1 } else { lowest };
        }
        for (word, value) in [("MAXVALUE", limits.maximum), ("MINVALUE", limits.minimum)] {
            if value < lowest || value > highest {
                let type_name = format_type(DataType::of(self.sequence.type_oid), &BuiltinTypes);
                return Err(SqlError::invalid_parameter(format!(
                    "{word} ({value}) is out of range for sequence data type {type_name}"
                )));
            }
        }
        if limits.minimum >= limits.maximum {
            return Err(SqlError::invalid_parameter(format!(
                "MINVALUE ({}) must be less than MAXVALUE ({})",
                limits.minimum, limits.maximum
            )));
        }
        Ok(())
    }

    fn set_start(&mut self, options: &[SequenceOption]) -> Result<()> {
        let limits = self.sequence.limits;
        let mut start = None;
        for option in options {
            if let SequenceOption::Start(value) = option {
                start = Some(number(value)?);
            }
        }
        if let Some(start) = start {
            self.sequence.start = start;
        } else if self.is_new {
            self.sequence.start = if limits.increment > 0 { limits.minimum } else { limits.maximum };
        }
        within("START", self.sequence.start, &limits)?;
        if self.is_new {
            self.position = Position { last: self.sequence.start, is_called: false };
        }
        for option in options {
            if let SequenceOption::Restart(value) = option {
                let last = value.as_deref().map_or(Ok(self.sequence.start), number)?;
                self.position = Position { last, is_called: false };
                self.restarted = true;
            }
        }
        within("RESTART", self.position.last, &limits)
    }
}

fn within(word: &str, value: i64, limits: &Limits) -> Result<()> {
    if value < limits.minimum {
        return Err(SqlError::invalid_parameter(format!(
            "{word} value ({value}) cannot be less than MINVALUE ({})",
            limits.minimum
        )));
    }
    if value > limits.maximum {
        return Err(SqlError::invalid_parameter(format!(
            "{word} value ({value}) cannot be greater than MAXVALUE ({})",
            limits.maximum
        )));
    }
    Ok(())
}

/// A new sequence; it is not stored yet.
async fn make(
    ddl: &Ddl,
    place: (u32, String),
    type_oid: u32,
    options: &[SequenceOption],
    is_identity: bool,
) -> Result<Sequence> {
    let initial = Position { last: 1, is_called: false };
    let (schema, name) = place;
    let mut sequence = Sequence {
        oid: ddl.oid().await?,
        schema,
        name,
        owner: ddl.own_role(),
        type_oid,
        start: 1,
        limits: Limits { increment: 1, minimum: 1, maximum: i64::MAX, cycle: false },
        cache: 1,
        counter: ddl.oid().await?,
        initial,
        owned_by: None,
        is_temporary: false,
        unlogged: false,
    };
    let mut change =
        Change { sequence: &mut sequence, is_new: true, is_identity, position: initial, restarted: false };
    change.apply(options)?;
    sequence.initial = change.position;
    Ok(sequence)
}

pub struct Create<'a> {
    pub name: &'a ast::ObjectName,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub unlogged: bool,
    pub options: &'a [SequenceOption],
}

pub async fn create_sequence(ddl: &mut Ddl, create: &Create<'_>) -> Result<()> {
    refuse_name(create.options)?;
    let (schema, base) = ddl.target_schema(create.name, create.temporary).await?;
    if ddl.catalog.relation_named(schema, &base).is_some() {
        if create.if_not_exists {
            ddl.notices.push(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{base}\" already exists, skipping"),
            ));
            return Ok(());
        }
        return Err(store::duplicate_relation(&base));
    }
    let mut sequence = make(ddl, (schema, base), oids::INT8, create.options, false).await?;
    sequence.is_temporary = create.temporary || ddl.makes_temporary;
    sequence.unlogged = create.unlogged;
    set_owner(ddl, &mut sequence, create.options)?;
    ddl.begin_rights(b'S', PG_CLASS, sequence.oid, schema, sequence.owner).await?;
    ddl.put(sequence).await
}

/// SEQUENCE NAME belongs to identity columns.
fn refuse_name(options: &[SequenceOption]) -> Result<()> {
    if options.iter().any(|option| matches!(option, SequenceOption::Name(_))) {
        return Err(SqlError::syntax("invalid sequence option SEQUENCE NAME"));
    }
    Ok(())
}

/// OWNED BY.
fn set_owner(ddl: &Ddl, sequence: &mut Sequence, options: &[SequenceOption]) -> Result<()> {
    let given = options.iter().find_map(|option| match option {
        SequenceOption::OwnedBy(owner) => Some(owner),
        _ => None,
    });
    let Some(given) = given else { return Ok(()) };
    if let Some(owner) = sequence.owned_by.filter(|owner| owner.is_identity) {
        let table = &ddl.catalog.expect_table(owner.table)?.table.name;
        return Err(SqlError::unsupported("cannot change ownership of identity sequence")
            .with_detail(format!("Sequence \"{}\" is linked to table \"{table}\".", sequence.name)));
    }
    let Some(object) = given else {
        sequence.owned_by = None;
        return Ok(());
    };
    let mut object = object.clone();
    let column = object.0.pop();
    let (Some(ast::ObjectNamePart::Identifier(column)), false) = (column, object.0.is_empty()) else {
        return Err(SqlError::syntax("invalid OWNED BY option")
            .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
    };
    let entry = match ddl.relation(&object)? {
        Relation::Stored(entry) if entry.table.materialized.is_none() => entry,
        other => {
            let name = other.name();
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("sequence cannot be owned by relation \"{name}\""),
            )
            .with_detail(format!("This operation is not supported for {}.", other.kind().plural())));
        }
    };
    if entry.table.owner != sequence.owner {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "sequence must have same owner as table it is linked to",
        ));
    }
    if entry.table.schema != sequence.schema {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "sequence must be in same schema as table it is linked to",
        ));
    }
    let column = name::fold(&column);
    let found = super::alter_table::find_column(&entry.table, &column)?;
    sequence.owned_by =
        Some(SequenceOwner { table: entry.table.oid, column: found.number, is_identity: false });
    Ok(())
}

pub async fn alter_sequence(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    if_exists: bool,
    options: &[SequenceOption],
) -> Result<()> {
    refuse_name(options)?;
    let Some(relation) = ddl.existing(object, if_exists)? else { return Ok(()) };
    let Relation::Sequence(entry) = relation else {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a sequence", relation.name()),
        ));
    };
    ddl.check_owns(&Relation::Sequence(entry.clone()))?;
    let mut sequence = (*entry.sequence).clone();
    set_owner(ddl, &mut sequence, options)?;
    change(ddl, sequence, options).await
}

/// Changes a sequence. RESTART makes a new counter, so that the old one is there again after a rollback.
pub async fn change(ddl: &mut Ddl, mut sequence: Sequence, options: &[SequenceOption]) -> Result<()> {
    let is_identity = sequence.owned_by.is_some_and(|owner| owner.is_identity);
    let position = ddl.execution.environment.sequences.position(&sequence);
    let mut change =
        Change { sequence: &mut sequence, is_new: false, is_identity, position, restarted: false };
    change.apply(options)?;
    let (position, restarted) = (change.position, change.restarted);
    if restarted {
        sequence.counter = ddl.oid().await?;
        sequence.initial = position;
    }
    ddl.put(sequence).await
}

/// Makes the sequences of a new table's columns, or of a new column's, and what the columns say of them. They are
/// stored with the table.
pub async fn for_columns(ddl: &Ddl, table: &mut Table, wanted: Vec<Wanted>) -> Result<Vec<Sequence>> {
    let mut sequences: Vec<Sequence> = Vec::new();
    for each in wanted {
        let column = table.column_numbered(each.column).name.clone();
        let given = each.options.iter().find_map(|option| match option {
            SequenceOption::Name(object) => Some(object),
            _ => None,
        });
        let name = match given {
            Some(object) => name::split(object)?.1,
            None => {
                let mut taken: Vec<String> = sequences.iter().map(|each| each.name.clone()).collect();
                taken.push(table.name.clone());
                let generated = constraint::generated_name(&table.name, &[column], "seq");
                ddl.free_name(table.schema, &generated, &taken)
            }
        };
        let is_identity = each.identity.is_some();
        let place = (table.schema, name);
        let mut sequence = make(ddl, place, each.type_oid, &each.options, is_identity).await?;
        sequence.owned_by = Some(SequenceOwner { table: table.oid, column: each.column, is_identity });
        sequence.owner = table.owner;
        sequence.is_temporary = table.is_temporary;
        sequence.unlogged = table.unlogged;
        let column = &mut table.columns[Table::position(each.column)];
        column.not_null = true;
        match each.identity {
            Some(identity) => column.identity = Some(identity),
            None => column.default = Some(format!("nextval('{}'::regclass)", sequence.oid)),
        }
        sequences.push(sequence);
    }
    Ok(sequences)
}

/// The counters of a table's sequences begin again: TRUNCATE … RESTART IDENTITY.
pub async fn restart_of(ddl: &mut Ddl, table: u32) -> Result<()> {
    let owned: Vec<Sequence> = ddl.catalog.sequences_of(table).map(|sequence| (**sequence).clone()).collect();
    for sequence in owned {
        if !ddl.actor().has_role(sequence.owner) {
            return Err(must_own("sequence", &sequence.name));
        }
        change(ddl, sequence, &[SequenceOption::Restart(None)]).await?;
    }
    Ok(())
}
