//! EXPLAIN: a plan as text, in PostgreSQL's shape.

use std::collections::HashMap;

use sqlparser::ast;

use super::logical::{AggregateCall, JoinKind, SetKind, SortKey, TableFunction};
use super::operators::operator_name;
use super::physical::{Access, Apply, KeyAccess, Physical, PlanNode};
use crate::error::{Result, SqlError};
use crate::execute::{Instrument, SpaceUsed};
use crate::expr::Expr;
use crate::functions::{EvalContext, Settings};
use crate::types::{DataType, TypeCatalog, format_type, oids};
use crate::value::Datum;

/// The options of EXPLAIN.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub analyze: bool,
    pub hide_costs: bool,
    pub hide_timing: bool,
    pub hide_summary: bool,
}

impl Options {
    /// Reads both syntaxes.
    ///
    /// # Errors
    /// 42601 for an unknown option, 0A000 for a format that is not supported yet.
    pub fn parse(
        analyze: bool,
        _verbose: bool,
        format: Option<&ast::AnalyzeFormatKind>,
        list: Option<&[ast::UtilityOption]>,
    ) -> Result<Options> {
        let mut options = Options { analyze, ..Options::default() };
        if let Some(ast::AnalyzeFormatKind::Keyword(format) | ast::AnalyzeFormatKind::Assignment(format)) =
            format
            && *format != ast::AnalyzeFormat::TEXT
        {
            return Err(SqlError::unsupported("only EXPLAIN's text format is supported yet"));
        }
        for option in list.unwrap_or_default() {
            let argument = option.arg.as_ref().map(|argument| argument.to_string().to_lowercase());
            let on = !matches!(argument.as_deref(), Some("false" | "off" | "0"));
            match option.name.value.to_lowercase().as_str() {
                "analyze" => options.analyze = on,
                "costs" => options.hide_costs = !on,
                "timing" => options.hide_timing = !on,
                "summary" => options.hide_summary = !on,
                "verbose" | "buffers" | "settings" | "wal" => {}
                "format" if argument.as_deref().is_none_or(|format| format.trim_matches('\'') == "text") => {}
                "format" => return Err(SqlError::unsupported("only EXPLAIN's text format is supported yet")),
                other => return Err(SqlError::syntax(format!("unrecognized EXPLAIN option \"{other}\""))),
            }
        }
        Ok(options)
    }
}

/// A plan's lines; `head` names the change that its rows are for.
#[must_use]
pub fn lines(
    plan: &PlanNode,
    head: Option<&str>,
    options: &Options,
    instruments: Option<&[Instrument]>,
    elapsed_nanos: u64,
    catalog: &dyn TypeCatalog,
) -> Vec<String> {
    let mut printer =
        Printer { catalog, options, instruments, lines: Vec::new(), number: 0, slots: HashMap::new() };
    let mut depth = 0;
    if let Some(head) = head {
        let costs = if options.hide_costs { String::new() } else { costs(plan, 0.0) };
        printer.lines.push(format!("{head}{costs}"));
        depth = 1;
    }
    printer.node(plan, depth, "");
    if options.analyze && !options.hide_summary {
        let milliseconds = elapsed_nanos as f64 / 1e6;
        printer.lines.push(format!("Execution Time: {milliseconds:.3} ms"));
    }
    printer.lines
}

/// Stands before a slot's number, until it is known what fills the slot.
const SLOT: &str = "\u{1}$";

struct Printer<'p> {
    catalog: &'p dyn TypeCatalog,
    options: &'p Options,
    instruments: Option<&'p [Instrument]>,
    lines: Vec<String>,
    number: usize,
    /// What fills the slots of the parts at hand.
    slots: HashMap<usize, String>,
}

fn costs(plan: &PlanNode, rows: f64) -> String {
    let width: usize = plan.types.iter().map(|data_type| width(*data_type)).sum();
    format!("  (cost=0.00..{:.2} rows={:.0} width={width})", cost(plan), rows)
}

fn width(data_type: DataType) -> usize {
    match crate::types::builtin_type(data_type.oid) {
        Some(info) if info.length > 0 => usize::try_from(info.length).unwrap_or(8),
        _ => 32,
    }
}

/// A rough cost: a unit for a hundred rows handled.
fn cost(plan: &PlanNode) -> f64 {
    let own = match &plan.node {
        Physical::Table(scan) => match &scan.access {
            Access::Full { .. } => super::estimate::table_rows(&scan.table),
            Access::Keys(_) => plan.rows,
        },
        _ => plan.rows,
    };
    plan.inputs().into_iter().map(cost).sum::<f64>() + own * 0.01 + 0.01
}

impl Printer<'_> {
    fn node(&mut self, plan: &PlanNode, depth: usize, label: &str) {
        // A projection has no line of its own in PostgreSQL; a bare constant row is a Result.
        if let Physical::Project { input, .. } = &plan.node {
            self.number += 1;
            return self.node(input, depth, label);
        }
        let number = self.number;
        self.number += 1;
        let indent = if depth == 0 { String::new() } else { format!("{}->  ", " ".repeat(depth * 6 - 4)) };
        if !label.is_empty() {
            self.lines.push(format!("{}{label}", " ".repeat(depth * 6 - 4)));
        }
        let mut line = format!("{indent}{}", title(plan));
        if !self.options.hide_costs {
            line.push_str(&costs(plan, plan.rows));
        }
        if let Some(instruments) = self.instruments {
            let measured = instruments.get(number).copied().unwrap_or_default();
            let loops = measured.loops.max(u64::from(measured.rows > 0));
            if loops == 0 {
                line.push_str(" (never executed)");
            } else if self.options.hide_timing {
                line.push_str(&format!(" (actual rows={} loops={loops})", measured.rows / loops));
            } else {
                let milliseconds = measured.time.as_secs_f64() * 1e3 / loops as f64;
                line.push_str(&format!(
                    " (actual time=0.000..{milliseconds:.3} rows={} loops={loops})",
                    measured.rows / loops
                ));
            }
        }
        self.lines.push(line);
        let detail = " ".repeat(if depth == 0 { 2 } else { depth * 6 + 2 });
        for text in details(self.catalog, plan) {
            let text = self.with_slots(&text);
            self.lines.push(format!("{detail}{text}"));
        }
        let measured = self.instruments.and_then(|instruments| instruments.get(number));
        if let Some(space) = measured.and_then(|measured| measured.space) {
            self.lines.push(format!("{detail}{}", space_used(space)));
        }
        if let Physical::Apply(apply) = &plan.node {
            self.note_slots(&apply.correlations, &apply.input);
            return self.apply(apply, depth);
        }
        if let Physical::NestedLoop(join) = &plan.node {
            self.note_slots(&join.lateral, &join.left);
        }
        for input in plan.inputs() {
            self.node(input, depth + 1, "");
        }
    }

    fn note_slots(&mut self, slots: &[(usize, usize)], outer: &PlanNode) {
        for (slot, column) in slots {
            let name = outer.names.get(*column).cloned().unwrap_or_default();
            self.slots.insert(*slot, self.with_slots(&name));
        }
    }

    /// A text with what fills the slots in place of those.
    fn with_slots(&self, text: &str) -> String {
        let mut parts = text.split(SLOT);
        let mut out = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
            match part[..end].parse().ok().and_then(|slot: usize| self.slots.get(&slot)) {
                Some(name) => out.push_str(name),
                None => out.push_str(&format!("${}", &part[..end])),
            }
            out.push_str(&part[end..]);
        }
        out
    }

    fn apply(&mut self, apply: &Apply, depth: usize) {
        self.node(&apply.input, depth + 1, "");
        let label = if apply.correlations.is_empty() { "InitPlan" } else { "SubPlan" };
        self.node(&apply.subquery, depth + 1, label);
    }
}

/// How an operator that gathers rows did it.
fn space_used(space: SpaceUsed) -> String {
    let kilobytes = |bytes: u64| bytes.div_ceil(1024);
    match space {
        SpaceUsed::Sort { bytes, on_disk: false } => {
            format!("Sort Method: quicksort  Memory: {}kB", kilobytes(bytes))
        }
        SpaceUsed::Sort { bytes, on_disk: true } => {
            format!("Sort Method: external merge  Disk: {}kB", kilobytes(bytes))
        }
        SpaceUsed::FirstRows { bytes } => {
            format!("Sort Method: top-N heapsort  Memory: {}kB", kilobytes(bytes))
        }
        SpaceUsed::HashTable { buckets, batches, bytes } => {
            format!("Buckets: {buckets}  Batches: {batches}  Memory Usage: {}kB", kilobytes(bytes))
        }
        SpaceUsed::Groups { batches, bytes, disk_bytes } => {
            let disk = match disk_bytes {
                0 => String::new(),
                bytes => format!("  Disk Usage: {}kB", kilobytes(bytes)),
            };
            format!("Batches: {batches}  Memory Usage: {}kB{disk}", kilobytes(bytes))
        }
    }
}

fn on(name: &str, alias: &str) -> String {
    let name = crate::binder::name::quote(name);
    let alias = crate::binder::name::quote(alias);
    if name == alias { name } else { format!("{name} {alias}") }
}

fn title(plan: &PlanNode) -> String {
    match &plan.node {
        Physical::Values { rows } if rows.len() == 1 => "Result".into(),
        Physical::Values { .. } => "Values Scan on \"*VALUES*\"".into(),
        Physical::Table(scan) => {
            let table = on(&scan.table.table.name, &scan.alias);
            match &scan.access {
                Access::Full { reverse: false } => format!("Seq Scan on {table}"),
                Access::Full { reverse: true } => format!("Seq Scan Backward on {table}"),
                Access::Keys(access) => {
                    let backward = if access.reverse { " Backward" } else { "" };
                    let index = crate::binder::name::quote(&access.index_name);
                    format!("Index Scan{backward} using {index} on {table}")
                }
            }
        }
        Physical::Virtual { relation, alias, .. } => format!("Seq Scan on {}", on(relation.name, alias)),
        Physical::Function { calls, alias, .. } => {
            let name = match calls.as_slice() {
                [TableFunction::Call { call: Expr::Call(call), .. }] => &call.function.name,
                [TableFunction::Relation { relation }] => relation.name,
                [_] => "function",
                _ => alias,
            };
            format!("Function Scan on {}", on(name, alias))
        }
        Physical::Filter { .. } => "Filter".into(),
        Physical::Project { .. } => "Result".into(),
        Physical::HashJoin(join) => format!("Hash {}", join_title(join.kind)),
        Physical::NestedLoop(join) => match join.kind {
            JoinKind::Inner => "Nested Loop".into(),
            kind => format!("Nested Loop {}", join_title(kind)),
        },
        Physical::Apply(_) => "Subquery".into(),
        Physical::Aggregate { groups, .. } if groups.is_empty() => "Aggregate".into(),
        Physical::Aggregate { .. } => "HashAggregate".into(),
        Physical::Recursive { .. } => "Recursive Union".into(),
        Physical::Shared { alias, .. } => format!("CTE Scan on {}", crate::binder::name::quote(alias)),
        Physical::WorkingTable { alias, .. } => format!("WorkTable Scan on {alias}"),
        Physical::Window { .. } => "WindowAgg".into(),
        Physical::ProjectSet { .. } => "ProjectSet".into(),
        Physical::Distinct { sorted: true, .. } => "Unique".into(),
        Physical::Distinct { .. } => "HashAggregate".into(),
        Physical::Lock { .. } => "LockRows".into(),
        Physical::Sort { .. } => "Sort".into(),
        Physical::TopN { .. } => "Limit (top-N sort)".into(),
        Physical::Limit { .. } => "Limit".into(),
        Physical::SetOperation { kind, all, .. } => match (kind, all) {
            (SetKind::Union, true) => "Append".into(),
            (SetKind::Union, false) => "HashAggregate (Append)".into(),
            (SetKind::Intersect, true) => "HashSetOp Intersect All".into(),
            (SetKind::Intersect, false) => "HashSetOp Intersect".into(),
            (SetKind::Except, true) => "HashSetOp Except All".into(),
            (SetKind::Except, false) => "HashSetOp Except".into(),
        },
    }
}

fn join_title(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "Join",
        JoinKind::Left => "Left Join",
        JoinKind::Right => "Right Join",
        JoinKind::Full => "Full Join",
        JoinKind::Semi => "Semi Join",
        JoinKind::Anti => "Anti Join",
    }
}

fn conjunction(catalog: &dyn TypeCatalog, terms: &[Expr], names: &[String]) -> String {
    let texts: Vec<String> = terms.iter().map(|term| expression(catalog, term, names)).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", texts.join(" AND ")),
    }
}

fn details(catalog: &dyn TypeCatalog, plan: &PlanNode) -> Vec<String> {
    let mut details = Vec::new();
    match &plan.node {
        Physical::Table(scan) => {
            let mut remaining: Vec<Expr> = scan.filters.clone();
            // A scan's conditions are on its own columns.
            let columns = &scan.table.table.columns;
            let names = scan.projection.iter().map(|at| crate::binder::name::quote(&columns[*at].name));
            let names: Vec<String> = names.collect();
            if let Access::Keys(access) = &scan.access {
                if let Some(condition) = index_condition(catalog, access) {
                    details.push(format!("Index Cond: {condition}"));
                }
                remaining.retain(|filter| !served(catalog, filter, access, &names));
            }
            if !remaining.is_empty() {
                details.push(format!("Filter: {}", conjunction(catalog, &remaining, &names)));
            }
        }
        Physical::Virtual { relation, projection, filters, .. } if !filters.is_empty() => {
            let names: Vec<String> =
                projection.iter().map(|at| relation.columns[*at].0.to_string()).collect();
            details.push(format!("Filter: {}", conjunction(catalog, filters, &names)));
        }
        Physical::Filter { predicates, .. } => {
            details.push(format!("Filter: {}", conjunction(catalog, predicates, &plan.names)));
        }
        Physical::HashJoin(join) => {
            let pairs: Vec<String> = join
                .left_keys
                .iter()
                .zip(&join.right_keys)
                .map(|(left, right)| {
                    let (left, right) = (
                        expression(catalog, left, &join.left.names),
                        expression(catalog, right, &join.right.names),
                    );
                    format!("({left} = {right})")
                })
                .collect();
            details.push(match pairs.as_slice() {
                [one] => format!("Hash Cond: {one}"),
                _ => format!("Hash Cond: ({})", pairs.join(" AND ")),
            });
            if !join.residual.is_empty() {
                let names: Vec<String> = join.left.names.iter().chain(&join.right.names).cloned().collect();
                details.push(format!("Join Filter: {}", conjunction(catalog, &join.residual, &names)));
            }
        }
        Physical::NestedLoop(join) if !join.on.is_empty() => {
            let names: Vec<String> = join.left.names.iter().chain(&join.right.names).cloned().collect();
            details.push(format!("Join Filter: {}", conjunction(catalog, &join.on, &names)));
        }
        Physical::Aggregate { input, groups, .. } if !groups.is_empty() => {
            let keys: Vec<String> =
                groups.iter().map(|group| expression(catalog, group, &input.names)).collect();
            details.push(format!("Group Key: {}", keys.join(", ")));
        }
        Physical::Distinct { input, keys, sorted: false } => {
            let keys: Vec<String> = keys.iter().map(|key| expression(catalog, key, &input.names)).collect();
            details.push(format!("Group Key: {}", keys.join(", ")));
        }
        Physical::Sort { input, keys } | Physical::TopN { input, keys, .. } => {
            details.push(format!("Sort Key: {}", sort_keys(catalog, keys, &input.names)));
        }
        _ => {}
    }
    details
}

fn sort_keys(catalog: &dyn TypeCatalog, keys: &[SortKey], names: &[String]) -> String {
    let texts: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut text = expression(catalog, &key.expr, names);
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect();
    texts.join(", ")
}

fn index_condition(catalog: &dyn TypeCatalog, access: &KeyAccess) -> Option<String> {
    let mut terms = Vec::new();
    for (name, value) in access.key_names.iter().zip(&access.equal) {
        terms.push(format!("({name} = {})", expression(catalog, value, &[])));
    }
    if let Some(name) = access.key_names.get(access.equal.len()) {
        let descending = access.key[access.equal.len()].descending;
        let (lower, upper) =
            if descending { (&access.upper, &access.lower) } else { (&access.lower, &access.upper) };
        if let Some((value, included)) = lower {
            terms.push(format!(
                "({name} {} {})",
                if *included { ">=" } else { ">" },
                expression(catalog, value, &[])
            ));
        }
        if let Some((value, included)) = upper {
            terms.push(format!(
                "({name} {} {})",
                if *included { "<=" } else { "<" },
                expression(catalog, value, &[])
            ));
        }
    }
    match terms.len() {
        0 => None,
        1 => terms.pop(),
        _ => Some(format!("({})", terms.join(" AND "))),
    }
}

/// Whether a filter is what the index search already says.
fn served(catalog: &dyn TypeCatalog, filter: &Expr, access: &KeyAccess, names: &[String]) -> bool {
    let Some((_, left, right)) = super::operators::as_comparison(filter) else { return false };
    let column = match (left, right) {
        (side, value) | (value, side) if super::walk::is_constant(value) => expression(catalog, side, names),
        _ => return false,
    };
    let used = access.equal.len() + usize::from(access.lower.is_some() || access.upper.is_some());
    access.key_names.iter().take(used).any(|name| *name == column)
}

/// An aggregate call as text.
#[must_use]
pub fn aggregate(catalog: &dyn TypeCatalog, call: &AggregateCall, names: &[String]) -> String {
    let arguments: Vec<String> = call.arguments.iter().map(|each| expression(catalog, each, names)).collect();
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
    format!("{}({distinct}{arguments})", call.aggregate.name)
}

/// An expression as text, as PostgreSQL deparses it: operators in parentheses, literals with their types.
#[must_use]
pub fn expression(catalog: &dyn TypeCatalog, expr: &Expr, names: &[String]) -> String {
    let text = |expr: &Expr| expression(catalog, expr, names);
    let list = |exprs: &[Expr]| exprs.iter().map(text).collect::<Vec<_>>().join(", ");
    match expr {
        Expr::Const { value, data_type } => constant(catalog, value, *data_type),
        Expr::Column { index, .. } => names.get(*index).cloned().unwrap_or_else(|| format!("column{index}")),
        Expr::Parameter { index, .. } => format!("${}", index + 1),
        Expr::Outer { index, .. } => format!("{SLOT}{index}"),
        Expr::Call(call) => match (operator_name(&call.function), call.arguments.as_slice()) {
            (Some(operator), [left, right]) => format!("({} {operator} {})", text(left), text(right)),
            (Some(operator), [operand]) => format!("({operator} {})", text(operand)),
            _ => format!("{}({})", call.function.name, list(&call.arguments)),
        },
        Expr::Cast(cast) => {
            let inner = text(&cast.argument);
            let inner =
                if matches!(cast.argument, Expr::Column { .. }) { format!("({inner})") } else { inner };
            format!("{inner}::{}", format_type(cast.data_type, catalog))
        }
        Expr::And(terms) => format!("({})", terms.iter().map(text).collect::<Vec<_>>().join(" AND ")),
        Expr::Or(terms) => format!("({})", terms.iter().map(text).collect::<Vec<_>>().join(" OR ")),
        Expr::Not(inner) => format!("(NOT {})", text(inner)),
        Expr::IsNull { argument, negated } => {
            format!("({} IS {}NULL)", text(argument), if *negated { "NOT " } else { "" })
        }
        Expr::IsTruth { argument, truth, negated } => format!(
            "({} IS {}{})",
            text(argument),
            if *negated { "NOT " } else { "" },
            if *truth { "TRUE" } else { "FALSE" }
        ),
        Expr::IsDistinct { left, right, negated } => {
            format!("({} IS {}DISTINCT FROM {})", text(left), if *negated { "NOT " } else { "" }, text(right))
        }
        Expr::Case { branches, otherwise, .. } => {
            let mut out = String::from("CASE");
            for (condition, result) in branches {
                out.push_str(&format!(" WHEN {} THEN {}", text(condition), text(result)));
            }
            if let Some(otherwise) = otherwise {
                out.push_str(&format!(" ELSE {}", text(otherwise)));
            }
            out + " END"
        }
        Expr::Coalesce { arguments, .. } => format!("COALESCE({})", list(arguments)),
        Expr::NullIf { equal, .. } => match equal.as_ref() {
            Expr::Call(call) => format!("NULLIF({})", list(&call.arguments)),
            other => format!("NULLIF({})", text(other)),
        },
        Expr::Extreme { arguments, greatest, .. } => {
            format!("{}({})", if *greatest { "GREATEST" } else { "LEAST" }, list(arguments))
        }
        Expr::InList { argument, list: members, negated, .. } => {
            let array: Vec<String> = members.iter().map(|member| plain(catalog, member, names)).collect();
            let element = format_type(DataType::of(argument.data_type().oid), catalog);
            let (operator, quantifier) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
            format!("({} {operator} {quantifier} ('{{{}}}'::{element}[]))", text(argument), array.join(","))
        }
        Expr::Quantified { left, array, function, all } => format!(
            "({} {} {} ({}))",
            text(left),
            operator_name(function).unwrap_or("="),
            if *all { "ALL" } else { "ANY" },
            text(array)
        ),
        Expr::Array { elements, .. } => format!("ARRAY[{}]", list(elements)),
        Expr::Row { fields, .. } => format!("ROW({})", list(fields)),
        Expr::Subscript { array, indices, .. } => format!("({})[{}]", text(array), list(indices)),
        Expr::Field { record, index, .. } => format!("({}).f{}", text(record), index + 1),
    }
}

/// A constant without its type.
fn plain(catalog: &dyn TypeCatalog, expr: &Expr, names: &[String]) -> String {
    match expr {
        Expr::Const { value, data_type } => printed(catalog, value, *data_type),
        other => expression(catalog, other, names),
    }
}

fn printed(catalog: &dyn TypeCatalog, value: &Datum, data_type: DataType) -> String {
    let settings = Settings::default();
    let context = EvalContext { types: catalog, ..EvalContext::detached(&settings) };
    if value.is_null() {
        return "NULL".into();
    }
    context.to_text(value, data_type.oid).map_or_else(|_| "?".into(), |text| text.to_string())
}

fn constant(catalog: &dyn TypeCatalog, value: &Datum, data_type: DataType) -> String {
    let type_name = format_type(data_type, catalog);
    if value.is_null() {
        return format!("NULL::{type_name}");
    }
    let text = printed(catalog, value, data_type);
    match data_type.oid {
        oids::BOOL => if text == "t" { "true" } else { "false" }.to_string(),
        oids::INT4 | oids::NUMERIC if !text.starts_with('-') => text,
        _ => format!("'{}'::{type_name}", text.replace('\'', "''")),
    }
}
