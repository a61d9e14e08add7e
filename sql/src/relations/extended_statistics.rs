//! Statistics objects: pg_statistic_ext, and how they are written out.

use super::pretty_text::pretty;
use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use super::schema_objects::schema_name;
use super::stored_text;
use crate::binder::name::quote;
use crate::catalog::{ExtendedStatistics, Table};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::{Oid, oids};
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_statistic_ext", objects)];

/// The catalog that they are in.
pub const PG_STATISTIC_EXT: Oid = 3381;

fn objects(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |own: &ExtendedStatistics| {
        let kinds = own.kinds.iter().map(|kind| super::relation::letter(*kind)).collect();
        let expressions = match own.expressions.is_empty() {
            true => Datum::Null,
            false => text(own.expressions.join(", ")),
        };
        relation.row(&[
            ("oid", oid(own.oid)),
            ("stxrelid", oid(own.table)),
            ("stxname", text(&own.name)),
            ("stxnamespace", oid(own.schema)),
            ("stxowner", oid(own.owner)),
            ("stxstattarget", Datum::Int32(own.target)),
            ("stxkeys", super::relation::vector(&own.columns)),
            ("stxkind", ArrayValue::from_elements(oids::CHAR, kinds).into()),
            ("stxexprs", expressions),
        ])
    };
    Ok(environment.catalog.extended_statistics().map(|own| row(own)).collect())
}

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, function: &str, arguments: &[Datum]) -> Option<Datum> {
    let number = arguments.first().and_then(Datum::as_i64).and_then(|number| u32::try_from(number).ok());
    let own = number.and_then(|number| environment.catalog.extended_statistics_numbered(number));
    let entry = own.and_then(|own| environment.catalog.table(own.table));
    let write = |write: &dyn Fn(&ExtendedStatistics, &Table) -> Datum| match (own, entry) {
        (Some(own), Some(entry)) => write(own, &entry.table),
        _ => Datum::Null,
    };
    Some(match function {
        "pg_get_statisticsobjdef" => write(&|own, table| Datum::text(definition(environment, own, table))),
        "pg_get_statisticsobjdef_columns" => {
            write(&|own, table| Datum::text(elements(environment, own, table)))
        }
        "pg_get_statisticsobjdef_expressions" => write(&|own, table| {
            let texts = own.expressions.iter();
            let texts = texts.map(|each| stored_text::statistics_expression(environment, table, each));
            let texts: Vec<Datum> = texts.map(Datum::text).collect();
            match texts.is_empty() {
                true => Datum::Null,
                false => ArrayValue::from_elements(oids::TEXT, texts).into(),
            }
        }),
        "pg_statistics_obj_is_visible" => {
            own.map_or(Datum::Null, |own| Datum::Bool(is_visible(environment, own)))
        }
        _ => return None,
    })
}

/// Whether a name alone finds an object.
fn is_visible(environment: &Environment, own: &ExtendedStatistics) -> bool {
    let path = environment.search_path.iter();
    let first =
        path.filter_map(|schema| environment.catalog.extended_statistics_named(*schema, &own.name)).next();
    first.is_some_and(|first| first.oid == own.oid)
}

/// `s.name`, or the name alone where that finds it.
#[must_use]
pub fn shown(environment: &Environment, own: &ExtendedStatistics) -> String {
    match is_visible(environment, own) {
        true => quote(&own.name),
        false => format!("{}.{}", quote(&schema_name(environment, own.schema)), quote(&own.name)),
    }
}

/// `a, b, (a + b)`
fn elements(environment: &Environment, own: &ExtendedStatistics, table: &Table) -> String {
    let columns = own.columns.iter().map(|number| quote(&table.column_numbered(*number).name));
    let expressions = own.expressions.iter().map(|each| {
        let written = stored_text::statistics_expression(environment, table, each);
        let is_call = super::deparse::is_call(&written);
        let written = pretty(&written);
        if is_call { written } else { format!("({written})") }
    });
    columns.chain(expressions).collect::<Vec<_>>().join(", ")
}

fn definition(environment: &Environment, own: &ExtendedStatistics, table: &Table) -> String {
    let kinds = [(b'd', "ndistinct"), (b'f', "dependencies"), (b'm', "mcv")];
    let named: Vec<&str> =
        kinds.iter().filter(|(kind, _)| own.kinds.contains(kind)).map(|(_, name)| *name).collect();
    let is_single = own.columns.len() + own.expressions.len() == 1;
    let kinds = match is_single || named.len() == kinds.len() {
        true => String::new(),
        false => format!(" ({})", named.join(", ")),
    };
    format!(
        "CREATE STATISTICS {}.{}{kinds} ON {} FROM {}",
        quote(&schema_name(environment, own.schema)),
        quote(&own.name),
        elements(environment, own, table),
        super::relation_name(environment, table.oid)
    )
}
