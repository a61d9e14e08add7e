//! A view's query written out in PostgreSQL's layout.
//!
//! PostgreSQL prints the analyzed query; this prints the query as it was written, with its relations' present names:
//! the clauses on lines of their own, operators in parentheses.

use sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectName, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, TableWithJoins,
};

use super::pretty_text::pretty;
use super::relation_name;
use crate::binder::name::quote;
use crate::binder::{moment_of, parse_stable_name};
use crate::catalog::{TypeScope, View};
use crate::execute::Environment;
use crate::parser::visit::{Node, walk, walk_expressions};
use crate::parser::{CYCLE, DISTINCT_SETS, SEARCH_BREADTH, SEARCH_DEPTH, marked, unmark};
use crate::types::{DataType, format_type, is_user_type};

/// What `pg_get_viewdef` gives; the pretty form leaves parentheses out.
#[must_use]
pub fn definition(environment: &Environment, view: &View, is_pretty: bool) -> String {
    let Ok(mut query) = crate::parser::parse_query(&view.query) else { return view.query.clone() };
    name_result(&mut query, view);
    qualify(environment, &mut query);
    // Naming does not fail.
    let _ = walk(&mut query, &mut |node| {
        name_as_now(environment, view, node);
        Ok(())
    });
    format!("{};", unmark(&Layout { is_pretty }.query(&query)))
}

/// The names that CREATE VIEW gave its columns, as aliases.
fn name_result(query: &mut Query, view: &View) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if select.projection.len() != view.columns.len() {
        return;
    }
    for (item, column) in select.projection.iter_mut().zip(&view.columns) {
        let SelectItem::UnnamedExpr(expr) = item else {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                *alias = ident(&column.name);
            }
            continue;
        };
        let own = match expr {
            Expr::Identifier(name) => Some(name.value.as_str()),
            Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.as_str()),
            _ => None,
        };
        if own != Some(column.name.as_str()) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: ident(&column.name) };
        }
    }
}

/// The columns of the only table of a query, under its name.
fn qualify(environment: &Environment, query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let [TableWithJoins { relation: TableFactor::Table { name, alias, args: None, .. }, joins }] =
        select.from.as_slice()
    else {
        return;
    };
    if !joins.is_empty() {
        return;
    }
    let table = match (alias, parse_stable_name(name)) {
        (Some(alias), _) => crate::binder::name::fold(&alias.name),
        (None, Some((_, _, base))) => base.to_string(),
        (None, None) => return,
    };
    let oid = parse_stable_name(name).map(|(oid, ..)| oid);
    let entry = oid.and_then(|oid| environment.catalog.table(oid));
    let is_column = entry.is_some_and(|entry| entry.table.column(&table).is_some());
    // What stands for words is no column, nor is the table's name where it stands for its row.
    let is_bare =
        |name: &Ident| marked(name).is_some() || (!is_column && crate::binder::name::fold(name) == table);
    let mut depth = 0usize;
    // Names of fields, which stand behind a row; told by where they are.
    let mut fields: Vec<*const Expr> = Vec::new();
    let mut meet = |node: Node<'_>| {
        match node {
            Node::Query(_) => depth += 1,
            Node::QueryEnd => depth -= 1,
            Node::Expr(expr) if depth == 0 => {
                if let Expr::CompoundFieldAccess { access_chain, .. } = &*expr {
                    fields.extend(access_chain.iter().filter_map(|access| match access {
                        ast::AccessExpr::Dot(field) => Some(std::ptr::from_ref(field)),
                        ast::AccessExpr::Subscript(_) => None,
                    }));
                }
                let is_field = fields.contains(&std::ptr::from_ref(&*expr));
                if let Expr::Identifier(column) = expr
                    && !is_field
                    && !is_bare(column)
                {
                    *expr = Expr::CompoundIdentifier(vec![ident(&table), column.clone()]);
                }
            }
            _ => {}
        }
        Ok(())
    };
    // Nothing here fails.
    let _ = walk(&mut select.projection, &mut meet);
    let _ = walk(&mut select.selection, &mut meet);
    let _ = walk(&mut select.group_by, &mut meet);
    let _ = walk(&mut select.having, &mut meet);
}

/// An identifier, quoted where it has to be.
fn ident(name: &str) -> Ident {
    match quote(name) {
        plain if plain == name => Ident::new(plain),
        _ => Ident::with_quote('"', name),
    }
}

/// Gives a relation or column the name it goes by now, without needless quotes.
fn name_as_now(environment: &Environment, view: &View, node: Node<'_>) {
    match node {
        Node::TableFactor(TableFactor::Table { name, alias, .. }) => {
            let Some((oid, _, base)) = parse_stable_name(name) else { return };
            let base = base.to_string();
            let present = relation_name(environment, oid);
            let is_renamed = present.rsplit('.').next() != Some(quote(&base).as_str());
            if alias.is_none() && is_renamed {
                *alias = Some(ast::TableAlias {
                    explicit: false,
                    name: ident(&base),
                    columns: Vec::new(),
                    at: None,
                });
            }
            *name = ObjectName::from(vec![Ident::new(present)]);
            name_columns_as_then(environment, view, (oid, base.as_str()), alias);
        }
        Node::Expr(Expr::Cast { data_type, .. }) => name_type_as_now(environment, data_type),
        Node::Expr(Expr::Function(function)) => {
            let Some((oid, ..)) = parse_stable_name(&function.name) else { return };
            if let Some(present) = constructor_name(environment, oid) {
                function.name = ObjectName::from(vec![Ident::new(present)]);
            }
        }
        Node::Expr(Expr::Identifier(name)) if marked(name).is_none() => *name = ident(&name.value),
        Node::Expr(Expr::CompoundIdentifier(parts)) => {
            for part in parts {
                *part = ident(&part.value);
            }
        }
        _ => {}
    }
}

/// Gives a relation whose columns were renamed since the view was made the names that the view calls them by, as an alias's list of
/// columns. (PostgreSQL names the columns as they are now.)
fn name_columns_as_then(
    environment: &Environment,
    view: &View,
    (relation, base): (u32, &str),
    alias: &mut Option<ast::TableAlias>,
) {
    let Some(source) = view.sources.iter().find(|source| source.relation == relation) else { return };
    let catalog = &environment.catalog;
    let columns: Vec<(i16, &str)> = match (catalog.table(relation), catalog.view(relation)) {
        (Some(entry), _) => {
            entry.table.live_columns().map(|column| (column.number, column.name.as_str())).collect()
        }
        (None, Some(other)) => {
            (1..).zip(&other.columns).map(|(number, column)| (number, column.name.as_str())).collect()
        }
        (None, None) => return,
    };
    let then =
        |number: i16| source.columns.iter().find(|known| known.0 == number).map(|known| known.1.as_str());
    if columns.iter().all(|(number, now)| then(*number).is_none_or(|then| then == *now)) {
        return;
    }
    // A column that came later may have the name that another one had.
    let is_taken = |name: &str| source.columns.iter().any(|known| known.1 == name);
    let free = |name: &str| (1..).map(|number| format!("{name}_{number}")).find(|name| !is_taken(name));
    let name_of = |(number, now): &(i16, &str)| match then(*number) {
        Some(then) => then.to_string(),
        None if is_taken(now) => free(now).unwrap_or_default(),
        None => (*now).to_string(),
    };
    let names: Vec<String> = columns.iter().map(name_of).collect();
    let Some(last) = columns.iter().zip(&names).rposition(|((_, now), name)| now != name) else { return };
    let alias = alias.get_or_insert_with(|| ast::TableAlias {
        explicit: false,
        name: ident(base),
        columns: Vec::new(),
        at: None,
    });
    // Names that the query itself gives are for the first columns.
    for name in names.iter().take(last + 1).skip(alias.columns.len()) {
        alias.columns.push(ast::TableAliasColumnDef { name: ident(name), data_type: None });
    }
}

/// What the functions are called that make values of a user's type, with their schema where their name alone does not find
/// them.
pub fn constructor_name(environment: &Environment, oid: u32) -> Option<String> {
    let place = environment.catalog.user_type(oid)?.definition.constructors()?;
    let base = quote(&place.name);
    if environment.search_path.contains(&place.schema) {
        return Some(base);
    }
    Some(format!("{}.{base}", quote(&environment.catalog.schema(place.schema)?.name)))
}

/// A user's type, which is stored under its OID, by its present name.
fn name_type_as_now(environment: &Environment, data_type: &mut ast::DataType) {
    match data_type {
        ast::DataType::Custom(name, _) => {
            let Some((oid, ..)) = parse_stable_name(name) else { return };
            let present = format_type(DataType::of(oid), environment);
            *name = ObjectName::from(vec![Ident::new(present)]);
        }
        ast::DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _) | ast::ArrayElemTypeDef::Qualified(element, _),
        ) => name_type_as_now(environment, element),
        // PostgreSQL's name for it, also where the text is not laid out here.
        other => {
            let name = cast_type(other);
            *other = ast::DataType::Custom(ObjectName::from(vec![Ident::new(name)]), Vec::new());
        }
    }
}

/// A stored expression as PostgreSQL writes it.
pub fn stored_text(environment: &Environment, text: &str) -> String {
    let Ok(mut expr) = crate::parser::parse_expression(text) else { return text.to_string() };
    // Naming does not fail.
    let _ = walk_expressions(&mut expr, &mut |node| {
        if let Expr::Cast { data_type, .. } = node {
            name_type_as_now(environment, data_type);
        }
        Ok(())
    });
    expr_text(&expr)
}

/// A domain's condition, in which VALUE stands for the value.
pub fn domain_text(environment: &Environment, text: &str) -> String {
    let Ok(mut expr) = crate::parser::parse_expression(text) else { return text.to_string() };
    // Naming does not fail.
    let _ = walk_expressions(&mut expr, &mut |node| {
        match node {
            Expr::Cast { data_type, .. } => name_type_as_now(environment, data_type),
            Expr::Identifier(name) if name.value.eq_ignore_ascii_case("value") => {
                *node = Expr::value(ast::Value::Placeholder("VALUE".into()));
            }
            _ => {}
        }
        Ok(())
    });
    expr_text(&expr)
}

/// How a query is laid out.
#[derive(Clone, Copy)]
struct Layout {
    is_pretty: bool,
}

impl Layout {
    fn query(self, query: &Query) -> String {
        let mut out = String::new();
        if let Some(with) = &query.with {
            out.push_str(&format!(" {}\n", with_text(with)));
        }
        out.push_str(&self.body(&query.body));
        if let Some(order_by) = &query.order_by
            && let OrderByKind::Expressions(keys) = &order_by.kind
        {
            let keys: Vec<String> = keys
                .iter()
                .map(|key| {
                    let mut text = self.expr(&key.expr);
                    match &key.options.sort {
                        Some(ast::OrderBySort::Desc) => text.push_str(" DESC"),
                        Some(ast::OrderBySort::Using(operator)) if operator.to_string() == ">" => {
                            text.push_str(" DESC");
                        }
                        _ => {}
                    }
                    match key.options.nulls_first {
                        Some(true) => text.push_str(" NULLS FIRST"),
                        Some(false) => text.push_str(" NULLS LAST"),
                        None => {}
                    }
                    text
                })
                .collect();
            out.push_str(&format!("\n  ORDER BY {}", keys.join(", ")));
        }
        if let Some(limit) = &query.limit_clause {
            out.push_str(&format!("\n {}", limit.to_string().trim()));
        }
        if let Some(fetch) = &query.fetch {
            let count = fetch.quantity.as_ref().map_or_else(|| "1".to_string(), expr_text);
            out.push_str(&match fetch.with_ties {
                true => format!("\n FETCH FIRST {count} ROWS WITH TIES"),
                false => format!("\n LIMIT {count}"),
            });
        }
        for lock in &query.locks {
            out.push_str(&format!("\n {}", lock_text(lock)));
        }
        out
    }

    fn body(self, body: &SetExpr) -> String {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let quantifier = match set_quantifier {
                    ast::SetQuantifier::All => " ALL",
                    _ => "",
                };
                format!("{}\n{op}{quantifier}\n{}", self.body(left), self.body(right))
            }
            SetExpr::Values(values) => format!(" {values}"),
            other => format!(" {other}"),
        }
    }

    fn select(self, select: &Select) -> String {
        let items: Vec<String> = select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::UnnamedExpr(expr) => self.expr(expr),
                SelectItem::ExprWithAlias { expr, alias } => format!("{} AS {alias}", self.expr(expr)),
                other => other.to_string(),
            })
            .collect();
        let distinct = match &select.distinct {
            Some(distinct @ ast::Distinct::On(_)) => format!("{distinct} "),
            Some(ast::Distinct::Distinct) => "DISTINCT ".into(),
            _ => String::new(),
        };
        let mut out = format!(" SELECT {distinct}{}", items.join(",\n    "));
        if !select.from.is_empty() {
            let from: Vec<String> = select.from.iter().map(|tables| self.from(tables)).collect();
            out.push_str(&format!("\n   FROM {}", from.join(",\n    ")));
        }
        if let Some(selection) = &select.selection {
            out.push_str(&format!("\n  WHERE {}", self.expr(selection)));
        }
        if let GroupByExpr::Expressions(keys, _) = &select.group_by
            && !keys.is_empty()
        {
            let is_distinct =
                matches!(&keys[0], Expr::Identifier(word) if marked(word) == Some(DISTINCT_SETS));
            let word = if is_distinct { "DISTINCT " } else { "" };
            let keys = keys.iter().skip(usize::from(is_distinct)).map(|key| self.expr(key));
            out.push_str(&format!("\n  GROUP BY {word}{}", keys.collect::<Vec<_>>().join(", ")));
        }
        if let Some(having) = &select.having {
            out.push_str(&format!("\n HAVING {}", self.expr(having)));
        }
        if !select.named_window.is_empty() {
            let windows: Vec<String> = select.named_window.iter().map(ToString::to_string).collect();
            out.push_str(&format!("\n  WINDOW {}", windows.join(", ")));
        }
        out
    }

    fn from(self, tables: &TableWithJoins) -> String {
        let joins = if self.is_pretty { 0 } else { tables.joins.len() };
        let mut out = "(".repeat(joins);
        out.push_str(&self.factor(&tables.relation));
        for join in &tables.joins {
            let (word, constraint) = match &join.join_operator {
                JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => ("JOIN", constraint),
                JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                    ("LEFT JOIN", constraint)
                }
                JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                    ("RIGHT JOIN", constraint)
                }
                JoinOperator::FullOuter(constraint) => ("FULL JOIN", constraint),
                JoinOperator::CrossJoin(constraint) => ("CROSS JOIN", constraint),
                _ => ("JOIN", &JoinConstraint::None),
            };
            let word = match constraint {
                JoinConstraint::Natural => format!("NATURAL {word}"),
                _ => word.to_string(),
            };
            let condition = match constraint {
                JoinConstraint::On(condition) if self.is_pretty => format!(" ON {}", self.expr(condition)),
                JoinConstraint::On(condition) => format!(" ON ({})", self.expr(condition)),
                JoinConstraint::Using(columns) => {
                    let mark = |column: &ObjectName| match column.0.as_slice() {
                        [ast::ObjectNamePart::Identifier(only)] => marked(only).map(str::to_owned),
                        _ => None,
                    };
                    let alias = columns.last().and_then(mark);
                    let named = columns.iter().filter(|column| mark(column).is_none());
                    let named: Vec<String> = named.map(ToString::to_string).collect();
                    let alias = alias.map_or_else(String::new, |alias| format!(" AS {}", quote(&alias)));
                    format!(" USING ({}){alias}", named.join(", "))
                }
                JoinConstraint::Natural | JoinConstraint::None => String::new(),
            };
            let close = if self.is_pretty { "" } else { ")" };
            out.push_str(&format!("\n     {word} {}{condition}{close}", self.factor(&join.relation)));
        }
        out
    }

    fn factor(self, factor: &TableFactor) -> String {
        match factor {
            TableFactor::Table { name, alias, args: None, version, .. } => {
                // The present name was made one identifier, quotes and all.
                let mut text = plain_name(name);
                if let Some((kind, expr)) = version.as_ref().and_then(|version| moment_of(version).ok()) {
                    text.push_str(&format!(" AS OF {} {}", kind.word(), self.expr(expr)));
                }
                if let Some(alias) = alias {
                    text.push_str(&format!(" {}", alias_text(alias)));
                }
                text
            }
            TableFactor::Derived { subquery, alias, lateral, .. } => {
                let lateral = if *lateral { "LATERAL " } else { "" };
                let alias =
                    alias.as_ref().map_or_else(String::new, |alias| format!(" {}", alias_text(alias)));
                format!("{lateral}({}){alias}", self.query(subquery))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.from(table_with_joins),
            other => other.to_string(),
        }
    }

    fn expr(self, expr: &Expr) -> String {
        let text = expr_text(expr);
        // What has lines of its own stays as it is.
        if self.is_pretty && !text.contains("CASE") { pretty(&text) } else { text }
    }
}

/// A locking clause; a weaker lock is marked by the first part of the name behind OF.
fn lock_text(lock: &ast::LockClause) -> String {
    let parts = lock.of.as_ref().map_or(&[][..], |object| &object.0);
    let weaker = parts.first().and_then(|part| part.as_ident()).and_then(marked);
    let words = match (&lock.lock_type, weaker) {
        (ast::LockType::Update, Some(_)) => "NO KEY UPDATE",
        (ast::LockType::Update, None) => "UPDATE",
        (ast::LockType::Share, Some(_)) => "KEY SHARE",
        (ast::LockType::Share, None) => "SHARE",
    };
    let named = parts.iter().skip(usize::from(weaker.is_some())).map(ToString::to_string);
    let named: Vec<String> = named.collect();
    let of = if named.is_empty() { String::new() } else { format!(" OF {}", named.join(".")) };
    let nonblock = lock.nonblock.as_ref().map_or_else(String::new, |nonblock| format!(" {nonblock}"));
    format!("FOR {words}{of}{nonblock}")
}

/// WITH, in which SEARCH and CYCLE stand in the queries' ORDER BY, where the parser put them.
fn with_text(with: &ast::With) -> String {
    let items = with.cte_tables.iter().map(|table| {
        let mut table = table.clone();
        let keys = match &table.query.order_by {
            Some(ast::OrderBy { kind: OrderByKind::Expressions(keys), .. }) => keys.as_slice(),
            _ => &[],
        };
        let behind: String = keys.iter().filter_map(|key| search_or_cycle(&key.expr)).collect();
        if !behind.is_empty() {
            table.query.order_by = None;
        }
        format!("{table}{behind}")
    });
    let recursive = if with.recursive { "RECURSIVE " } else { "" };
    format!("WITH {recursive}{}", items.collect::<Vec<_>>().join(", "))
}

/// SEARCH or CYCLE, with a blank before it.
fn search_or_cycle(key: &Expr) -> Option<String> {
    let Expr::Function(call) = key else { return None };
    let kind = crate::binder::name::last(&call.name).and_then(marked)?;
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let arguments: Vec<String> = list.args.iter().map(ToString::to_string).collect();
    match (kind, arguments.as_slice()) {
        (SEARCH_DEPTH, [sequence, columns @ ..]) => {
            Some(format!(" SEARCH DEPTH FIRST BY {} SET {sequence}", columns.join(", ")))
        }
        (SEARCH_BREADTH, [sequence, columns @ ..]) => {
            Some(format!(" SEARCH BREADTH FIRST BY {} SET {sequence}", columns.join(", ")))
        }
        (CYCLE, [mark, path, value, default, columns @ ..]) => Some(format!(
            " CYCLE {} SET {mark} TO {value} DEFAULT {default} USING {path}",
            columns.join(", ")
        )),
        _ => None,
    }
}

fn alias_text(alias: &ast::TableAlias) -> String {
    let columns: Vec<String> = alias.columns.iter().map(|column| column.name.to_string()).collect();
    let name = quote(&crate::binder::name::fold(&alias.name));
    if columns.is_empty() { name } else { format!("{name}({})", columns.join(", ")) }
}

fn plain_name(name: &ObjectName) -> String {
    let parts: Vec<&str> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
    parts.join(".")
}

/// A type's name; a user's type is named by its OID, or as it is called now.
pub fn cast_type(data_type: &ast::DataType) -> String {
    let types = TypeScope::builtin();
    match crate::binder::data_type::resolve(data_type, types) {
        Ok(resolved) if !is_user_type(resolved.oid) => format_type(resolved, types),
        _ => data_type.to_string(),
    }
}

/// An expression, each operator in parentheses of its own.
#[must_use]
pub fn expr_text(expr: &Expr) -> String {
    match expr {
        Expr::Nested(inner) => expr_text(inner),
        Expr::Identifier(column) if marked(column).is_some() => column.to_string(),
        Expr::Identifier(column) => quote(&crate::binder::name::fold(column)),
        Expr::CompoundIdentifier(parts) => {
            let parts: Vec<String> =
                parts.iter().map(|part| quote(&crate::binder::name::fold(part))).collect();
            parts.join(".")
        }
        Expr::BinaryOp { left, op, right } => {
            format!("({} {op} {})", expr_text(left), expr_text(right))
        }
        Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => format!("(NOT {})", expr_text(expr)),
        Expr::IsNull(inner) => format!("({} IS NULL)", expr_text(inner)),
        Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", expr_text(inner)),
        Expr::Between { expr, negated: false, low, high } => {
            let value = expr_text(expr);
            format!("(({value} >= {}) AND ({value} <= {}))", expr_text(low), expr_text(high))
        }
        Expr::Between { expr, negated: true, low, high } => {
            let value = expr_text(expr);
            format!("(({value} < {}) OR ({value} > {}))", expr_text(low), expr_text(high))
        }
        Expr::InList { expr, list, negated } => {
            let list: Vec<String> = list.iter().map(expr_text).collect();
            let (operator, quantifier) = if *negated { ("<>", "ALL") } else { ("=", "ANY") };
            format!("({} {operator} {quantifier} (ARRAY[{}]))", expr_text(expr), list.join(", "))
        }
        Expr::Value(value) => match &value.value {
            ast::Value::Boolean(truth) => truth.to_string(),
            _ => value.to_string(),
        },
        Expr::Cast { expr, data_type, .. } => {
            let inner = expr_text(expr);
            let name = cast_type(data_type);
            match expr.as_ref() {
                Expr::Value(value) if matches!(value.value, ast::Value::Number(..)) => {
                    format!("({inner})::{name}")
                }
                Expr::Function(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => {
                    format!("{inner}::{name}")
                }
                _ => format!("({inner})::{name}"),
            }
        }
        Expr::Function(function) => function_text(function),
        other => other.to_string(),
    }
}

fn function_text(function: &ast::Function) -> String {
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty()
        && function.null_treatment.is_none();
    if let (true, ast::FunctionArguments::List(list)) = (plain, &function.args)
        && list.clauses.is_empty()
        && list.duplicate_treatment.is_none()
    {
        let arguments: Option<Vec<String>> = list
            .args
            .iter()
            .map(|argument| match argument {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr_text(expr)),
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => Some("*".into()),
                _ => None,
            })
            .collect();
        if let Some(arguments) = arguments {
            return format!("{}({})", function.name.to_string().to_lowercase(), arguments.join(", "));
        }
    }
    function.to_string()
}
