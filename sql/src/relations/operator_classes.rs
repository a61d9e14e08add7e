//! Which operators indexes use: pg_opclass, pg_opfamily, pg_amop, pg_amproc, with PostgreSQL's rows for B-trees and hash
//! over the types that exist; and which class each column of an index has.

use std::sync::LazyLock;

use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use super::schema_objects::{BTREE, HASH};
use crate::catalog::{Index, IndexColumn, PG_CATALOG, SUPERUSER, Table};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::{DataType, Oid, TypeCatalog, TypeShape, builtin_type, domain, oids};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] =
    &[("pg_opfamily", families), ("pg_opclass", classes), ("pg_amop", operators), ("pg_amproc", functions)];

/// PostgreSQL's, one a line. Families: `f`, OID, access method, name. Classes: `c`, OID, family, name, type, whether it is
/// the type's default, type of the keys. Operators: `o`, OID, family, left and right type, strategy, operator.
/// Support functions: `p`, OID, family, left and right type, number, function.
const POSTGRESQL: &str = include_str!("operator_classes.txt");

struct Family {
    oid: Oid,
    method: Oid,
    name: &'static str,
}

struct Class {
    oid: Oid,
    family: Oid,
    name: &'static str,
    input: Oid,
    is_default: bool,
    key: Oid,
}

/// An operator or a support function of a family.
struct Member {
    oid: Oid,
    family: Oid,
    left: Oid,
    right: Oid,
    number: u32,
    target: Oid,
}

#[derive(Default)]
struct Known {
    families: Vec<Family>,
    classes: Vec<Class>,
    operators: Vec<Member>,
    functions: Vec<Member>,
}

impl Known {
    /// Reads a line; `None` for one that makes no sense.
    fn read(&mut self, line: &'static str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        let mut fields = rest.split(' ');
        let oid = fields.next()?.parse().ok()?;
        let owner = fields.next()?.parse().ok()?;
        match kind {
            "f" => self.families.push(Family { oid, method: owner, name: fields.next()? }),
            "c" => self.classes.push(Class {
                oid,
                family: owner,
                name: fields.next()?,
                input: fields.next()?.parse().ok()?,
                is_default: fields.next()? == "t",
                key: fields.next()?.parse().ok()?,
            }),
            _ => {
                let mut number = || fields.next()?.parse().ok();
                let (left, right, number, target) = (number()?, number()?, number()?, number()?);
                let members = if kind == "o" { &mut self.operators } else { &mut self.functions };
                members.push(Member { oid, family: owner, left, right, number, target });
            }
        }
        Some(())
    }

    fn method(&self, family: Oid) -> Oid {
        self.families.iter().find(|each| each.oid == family).map_or(0, |family| family.method)
    }
}

/// Those over types that exist.
static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known::default();
    for line in POSTGRESQL.lines() {
        let _ = known.read(line);
    }
    let exists = |type_oid: Oid| builtin_type(type_oid).is_some();
    known.classes.retain(|class| exists(class.input));
    let Known { families, classes, operators, functions } = &mut known;
    families.retain(|family| classes.iter().any(|class| class.family == family.oid));
    for members in [operators, functions] {
        members.retain(|it| {
            exists(it.left) && exists(it.right) && families.iter().any(|each| each.oid == it.family)
        });
    }
    known
});

fn families(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |family: &Family| {
        relation.row(&[
            ("oid", oid(family.oid)),
            ("opfmethod", oid(family.method)),
            ("opfname", text(family.name)),
            ("opfnamespace", oid(PG_CATALOG)),
            ("opfowner", oid(SUPERUSER)),
        ])
    };
    Ok(KNOWN.families.iter().map(row).collect())
}

fn classes(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |class: &Class| {
        relation.row(&[
            ("oid", oid(class.oid)),
            ("opcmethod", oid(KNOWN.method(class.family))),
            ("opcname", text(class.name)),
            ("opcnamespace", oid(PG_CATALOG)),
            ("opcowner", oid(SUPERUSER)),
            ("opcfamily", oid(class.family)),
            ("opcintype", oid(class.input)),
            ("opcdefault", Datum::Bool(class.is_default)),
            ("opckeytype", oid(class.key)),
        ])
    };
    Ok(KNOWN.classes.iter().map(row).collect())
}

fn operators(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |member: &Member| {
        relation.row(&[
            ("oid", oid(member.oid)),
            ("amopfamily", oid(member.family)),
            ("amoplefttype", oid(member.left)),
            ("amoprighttype", oid(member.right)),
            ("amopstrategy", Datum::Int64(member.number.into())),
            ("amoppurpose", letter(b's')),
            ("amopopr", oid(member.target)),
            ("amopmethod", oid(KNOWN.method(member.family))),
            ("amopsortfamily", oid(0)),
        ])
    };
    Ok(KNOWN.operators.iter().map(row).collect())
}

fn functions(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |member: &Member| {
        relation.row(&[
            ("oid", oid(member.oid)),
            ("amprocfamily", oid(member.family)),
            ("amproclefttype", oid(member.left)),
            ("amprocrighttype", oid(member.right)),
            ("amprocnum", Datum::Int64(member.number.into())),
            ("amproc", oid(member.target)),
        ])
    };
    Ok(KNOWN.functions.iter().map(row).collect())
}

/// The type that a class takes for values of a type that is no domain: theirs, or one that they are read as.
fn class_input(types: &dyn TypeCatalog, base: Oid) -> Oid {
    let is_input =
        |type_oid: Oid| KNOWN.classes.iter().any(|class| class.is_default && class.input == type_oid);
    match types.type_by_oid(base).map(|info| &info.shape) {
        _ if is_input(base) => base,
        Some(TypeShape::Enum { .. }) => oids::ANYENUM,
        Some(TypeShape::Array { .. }) => oids::ANYARRAY,
        Some(TypeShape::Composite { .. }) => oids::RECORD,
        Some(TypeShape::Range(_)) => oids::ANYRANGE,
        Some(TypeShape::Multirange { .. }) => oids::ANYMULTIRANGE,
        _ => match base {
            oids::VARCHAR => oids::TEXT,
            oids::CIDR => oids::INET,
            // What is left are OIDs of objects.
            _ => oids::OID,
        },
    }
}

/// The B-tree class that values of a type have by default, or 0.
pub fn default_class(types: &dyn TypeCatalog, type_oid: Oid) -> Oid {
    let input = class_input(types, domain::base_type(type_oid, types));
    let is_default =
        |class: &&Class| class.is_default && class.input == input && KNOWN.method(class.family) == BTREE;
    KNOWN.classes.iter().find(is_default).map_or(0, |class| class.oid)
}

/// The B-tree class of a name, and the type that it takes.
pub fn btree_class(name: &str) -> Option<(Oid, Oid)> {
    let found = KNOWN.classes.iter().find(|class| class.name == name && KNOWN.method(class.family) == BTREE);
    found.map(|class| (class.oid, class.input))
}

/// The classes and collations of an index's columns: the class that was named, or the default of the type.
pub fn of_index(environment: &Environment, table: &Table, index: &Index) -> Vec<(Oid, Oid)> {
    let of_column = |column: &IndexColumn| {
        let class = class_of(environment, table, column, index.is_hash).map_or(0, |class| class.oid);
        (class, super::collations::of_key(environment, table, column))
    };
    index.columns.iter().map(of_column).collect()
}

/// The class of a column of an index; of those for hash indexes where it is one.
fn class_of(
    types: &dyn TypeCatalog,
    table: &Table,
    column: &IndexColumn,
    is_hash: bool,
) -> Option<&'static Class> {
    let type_oid = match &column.expression {
        Some(expression) => expression.type_oid,
        None => table.column_numbered(column.number).type_oid,
    };
    let input = class_input(types, domain::underlying(DataType::of(type_oid), types).oid);
    let method = if is_hash { HASH } else { BTREE };
    let mut classes = KNOWN.classes.iter().filter(|class| KNOWN.method(class.family) == method);
    match &column.class {
        Some(name) => classes.find(|class| class.name == name),
        None => classes.find(|class| class.is_default && class.input == input),
    }
}

/// The family of a B-tree class of a name, and the type that the class takes.
pub fn family_of(name: &str) -> Option<(Oid, Oid)> {
    let found = KNOWN.classes.iter().find(|class| class.name == name && KNOWN.method(class.family) == BTREE);
    found.map(|class| (class.family, class.input))
}

/// The same of a column of an index.
pub fn key_family(types: &dyn TypeCatalog, table: &Table, column: &IndexColumn) -> Option<(Oid, Oid)> {
    class_of(types, table, column, false).map(|class| (class.family, class.input))
}
