//! Types, casts, operators, functions and aggregates against what PostgreSQL 15 answered (`data/postgres15.tsv`).

use helios_sql::error::Result;
use helios_sql::expr::{Expr, build};
use helios_sql::functions::{CallTypes, CastContext, EvalContext, Settings, registry};
use helios_sql::types::{BuiltinTypes, DataType, TypeCatalog, format_type, oids};
use helios_sql::value::{Batch, ColumnBuilder, Datum};

/// A type's name with its modifier, as the data file writes them.
fn data_type(name: &str) -> DataType {
    let (array, name) = name.strip_suffix("[]").map_or((false, name), |name| (true, name));
    let (base, modifier) = name.split_once('(').unwrap_or((name, ""));
    let numbers: Vec<i32> =
        modifier.trim_end_matches(')').split(',').filter_map(|part| part.parse().ok()).collect();
    let interval =
        |fields: i32, precision: i32| DataType { oid: oids::INTERVAL, typmod: fields << 16 | precision };
    match (name, base, numbers.as_slice()) {
        ("interval second(0)", ..) => return interval(4096, 0),
        ("interval day", ..) => return interval(8, 0xffff),
        ("interval hour to minute", ..) => return interval(3072, 0xffff),
        ("interval year", ..) => return interval(4, 0xffff),
        ("interval year to month", ..) => return interval(6, 0xffff),
        ("interval day to hour", ..) => return interval(1032, 0xffff),
        ("interval minute", ..) => return interval(2048, 0xffff),
        (_, "interval", [precision]) => return interval(0x7fff, *precision),
        (_, "numeric", [precision, scale]) => return DataType::numeric(*precision, *scale),
        (_, "varchar", [length]) => return DataType::varchar(*length),
        (_, "bpchar", [length]) => return DataType::bpchar(*length),
        (_, "timestamp", [precision]) => return DataType { oid: oids::TIMESTAMP, typmod: *precision },
        _ => {}
    }
    let name = base.trim_matches('"');
    let name = if array { format!("_{name}") } else { name.to_owned() };
    DataType::of(BuiltinTypes.type_by_name(&name).unwrap_or_else(|| panic!("no type {name}")).oid)
}

/// `type:text` as the expression `'text'::type`.
fn literal(written: &str, context: &EvalContext<'_>) -> Result<Expr> {
    let (name, text) = written.split_once(':').expect("type:text");
    let unknown = Expr::constant(text, DataType::UNKNOWN);
    if name == "unknown" {
        Ok(unknown)
    } else {
        build::coerce(unknown, data_type(name), CastContext::Explicit, context)
    }
}

fn answer(fields: &[String], context: &EvalContext<'_>) -> Result<(DataType, Datum)> {
    let empty: Vec<Datum> = Vec::new();
    let expr = match fields[0].as_str() {
        "in" => build::coerce(
            Expr::constant(fields[2].as_str(), DataType::UNKNOWN),
            data_type(&fields[1]),
            CastContext::Explicit,
            context,
        )?,
        "op" => {
            let (left, right) = (literal(&fields[2], context)?, literal(&fields[3], context)?);
            build::operator(&fields[1], Some(left), right, context)?
        }
        "fn" => {
            let arguments =
                fields[2..].iter().map(|written| literal(written, context)).collect::<Result<_>>()?;
            build::function(&fields[1], arguments, context)?
        }
        "cast" => build::coerce(
            literal(&fields[1], context)?,
            data_type(&fields[2]),
            CastContext::Explicit,
            context,
        )?,
        "agg" => return aggregate(fields, context),
        other => panic!("unknown kind {other}"),
    };
    let by_row = expr.eval_row(&empty, context)?;
    // The batch evaluator must agree.
    let batch = Batch::new(Vec::new(), 3);
    let column = expr.eval_batch(&batch, context)?;
    assert_eq!(format!("{:?}", column.get(2)), format!("{by_row:?}"), "row and batch differ for {fields:?}");
    Ok((expr.data_type(), by_row))
}

fn aggregate(fields: &[String], context: &EvalContext<'_>) -> Result<(DataType, Datum)> {
    let argument = data_type(&fields[2]);
    let Some(resolved) = registry().resolve_aggregate(&fields[1], &[argument.oid], context.types)? else {
        registry().resolve_function(&fields[1], &[argument.oid], context.types)?;
        panic!("{} is no aggregate", fields[1]);
    };
    let given = DataType::of(resolved.argument_types[0]);
    let info = context.type_info(argument.oid)?;
    let kind = context.type_info(if given.oid == oids::ANY { argument.oid } else { given.oid })?.kind;
    let mut builder = ColumnBuilder::new(kind, 0);
    let texts = fields[3].split('|').filter(|text| !text.is_empty());
    for text in texts {
        let value = info.parse_text(text, -1, context)?;
        let value = Expr::Const { value, data_type: argument };
        let value = build::coerce(value, given, CastContext::Implicit, context)?;
        builder.push(value.eval_row(&Vec::<Datum>::new(), context)?)?;
    }
    // All others pass over NULLs.
    if fields[1] != "array_agg" {
        builder.push_null();
    }
    let column = builder.finish();
    let result = DataType::of(resolved.return_type);
    let make = || (resolved.aggregate.init)(&CallTypes { arguments: &[given], result });
    let mut whole = make();
    whole.resize(1);
    whole.accumulate(&vec![0; column.len()], std::slice::from_ref(&column), context)?;
    // Two halves merged must answer for themselves too.
    let (mut left, mut right) = (make(), make());
    left.resize(1);
    right.resize(1);
    let middle = column.len() / 2;
    let part =
        |range: std::ops::Range<usize>| column.gather(&range.map(|row| row as u32).collect::<Vec<_>>());
    left.accumulate(&vec![0; middle], &[part(0..middle)], context)?;
    right.accumulate(&vec![0; column.len() - middle], &[part(middle..column.len())], context)?;
    left.merge(&*right, &[0])?;
    left.finish(0, context)?;
    Ok((result, whole.finish(0, context)?))
}

fn unescape(field: &str) -> String {
    let mut result = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => result.push('\t'),
                Some('n') => result.push('\n'),
                Some(other) => result.push(other),
                None => {}
            },
            _ => result.push(character),
        }
    }
    result
}

#[test]
fn answers_as_postgresql_does() {
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    let data = include_str!("data/postgres15.tsv");
    let mut wrong = Vec::new();
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let mut fields: Vec<String> = line.split('\t').map(unescape).collect();
        let expected = fields.pop().expect("an answer");
        let got = match answer(&fields, &context) {
            Ok((data_type, value)) => {
                let name = format_type(DataType::of(data_type.oid), &BuiltinTypes);
                // The file was made by a cast to text, which writes booleans out in full.
                let text = match &value {
                    Datum::Null => "<null>".to_owned(),
                    Datum::Bool(value) => value.to_string(),
                    Datum::Text(text) if data_type.oid == oids::BPCHAR => {
                        text.trim_end_matches(' ').to_owned()
                    }
                    value => context.to_text(value, data_type.oid).expect("prints").to_string(),
                };
                format!("{name}={text}")
            }
            Err(error) => format!("!{} {}", error.state(), error.message()),
        };
        if got != expected {
            wrong.push(format!("{fields:?}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}
