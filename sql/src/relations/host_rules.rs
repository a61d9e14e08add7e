//! pg_hba_file_rules: what the file of rules for hosts says.

use super::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::oids;
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_hba_file_rules", rules)];

fn rules(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let optional = |value: Option<&str>| value.map_or(Datum::Null, text);
    let list = |words: &[String]| match words {
        [] => Datum::Null,
        words => ArrayValue::from_elements(oids::TEXT, words.iter().map(text).collect()).into(),
    };
    let rules = environment.engine.server_files().map(|files| files.host_rules()).unwrap_or_default();
    Ok(rules
        .iter()
        .map(|rule| {
            relation.row(&[
                ("line_number", Datum::Int64(rule.line as i64)),
                ("type", optional(rule.transport)),
                ("database", list(&rule.databases)),
                ("user_name", list(&rule.users)),
                ("address", optional(rule.address.as_deref())),
                ("netmask", optional(rule.netmask.as_deref())),
                ("auth_method", optional(rule.method)),
                ("options", list(&rule.options)),
                ("error", optional(rule.error.as_deref())),
            ])
        })
        .collect())
}
