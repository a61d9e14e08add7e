//! What EXPLAIN shows of each node, whatever the format.
//!
//! A projection has no node of its own, as in PostgreSQL; a filter stands at the node that it filters, a subquery of an
//! expression below the node that evaluates it, and the table of a hash join is a node.

use std::collections::HashMap;

use super::expression::{conjunction, expression, index_condition, served, sort_keys};
use super::searches::recheck;
use super::{Explained, FIRST_SUBPLAN, Options, SLOT};
use crate::binder::name::quote;
use crate::execute::{Instrument, SpaceUsed};
use crate::expr::Expr;
use crate::plan::cost::{Cost, of_physical};
use crate::plan::logical::{JoinKind, SetKind, TableFunction};
use crate::plan::physical::{Access, Apply, ApplyKind, NestedLoop, Phase, Physical, PlanNode, TableScan};
use crate::types::{DataType, TypeCatalog};

/// A node as it is shown.
#[derive(Default)]
pub(super) struct Node {
    /// What it is called in documents.
    pub kind: &'static str,
    /// Its line in text.
    pub title: String,
    /// What documents say before the costs.
    pub facts: Vec<Fact>,
    pub relationship: Option<&'static str>,
    /// The name of a subquery of an expression.
    pub subplan: Option<String>,
    /// Several share its rows.
    pub is_shared: bool,
    pub cost: Cost,
    pub rows: f64,
    pub width: usize,
    pub actual: Option<Actual>,
    pub details: Vec<Fact>,
    /// The memory that was taken: a line of text, and what documents say.
    pub space: Option<(String, Vec<Fact>)>,
    pub children: Vec<Node>,
}

/// A key with its value.
pub(super) struct Fact {
    pub key: &'static str,
    pub value: Value,
    /// Documents say it right behind the kind.
    pub is_first: bool,
}

/// The value of a fact.
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Count(u64),
}

/// What was measured, per loop.
pub(super) struct Actual {
    pub startup_ms: f64,
    pub total_ms: f64,
    pub rows: u64,
    pub loops: u64,
    /// Of all loops together.
    pub buffers: Option<Buffers>,
}

/// Accesses of pages.
#[derive(Clone, Default)]
pub(super) struct Buffers {
    pub hits: u64,
    pub reads: u64,
}

pub(super) fn fact(key: &'static str, text: impl Into<String>) -> Fact {
    Fact { key, value: Value::Text(text.into()), is_first: false }
}

fn count(key: &'static str, count: u64) -> Fact {
    Fact { key, value: Value::Count(count), is_first: false }
}

fn first(key: &'static str, text: impl Into<String>) -> Fact {
    Fact { is_first: true, ..fact(key, text) }
}

/// The tree of a statement.
pub(super) fn build(explained: &Explained<'_>, options: &Options, catalog: &dyn TypeCatalog) -> Node {
    let mut builder =
        Builder { explained, options, catalog, number: 0, slots: HashMap::new(), subplans: [0, 0] };
    let Some(change) = &explained.change else { return builder.node(explained.plan, None) };
    let child = builder.node(explained.plan, Some("Outer"));
    let table = quote(&change.table);
    let shown = if options.verbose { format!("{}.{table}", quote(&change.schema)) } else { table };
    let mut facts = vec![first("Operation", change.operation), fact("Relation Name", &change.table)];
    if options.verbose {
        facts.push(fact("Schema", &change.schema));
    }
    facts.push(fact("Alias", &change.table));
    let mut details = Vec::new();
    if let Some((resolution, indexes)) = &change.conflict {
        details.push(fact("Conflict Resolution", *resolution));
        if !indexes.is_empty() {
            let value = Value::List(indexes.clone());
            details.push(Fact { key: "Conflict Arbiter Indexes", value, is_first: false });
        }
    }
    let total_ms = explained.execution_nanos as f64 / 1e6;
    let actual = explained.instruments.map(|_| Actual {
        startup_ms: child.actual.as_ref().map_or(0.0, |actual| actual.startup_ms),
        total_ms,
        rows: change.returned,
        loops: 1,
        buffers: child.actual.as_ref().and_then(|actual| actual.buffers.clone()),
    });
    Node {
        kind: "ModifyTable",
        title: format!("{} on {shown}", change.operation),
        facts,
        cost: child.cost,
        actual,
        details,
        children: vec![child],
        ..Node::default()
    }
}

/// Whether a plan is the one row of values that are asked for once.
fn is_asked_once(plan: &PlanNode) -> bool {
    match &plan.node {
        Physical::Apply(apply) => {
            apply.correlations.is_empty()
                && matches!(apply.kind, ApplyKind::Scalar)
                && is_asked_once(&apply.input)
        }
        Physical::Values { rows } => rows.len() == 1 && plan.names.is_empty(),
        _ => false,
    }
}

pub(super) struct Builder<'e> {
    pub explained: &'e Explained<'e>,
    options: &'e Options,
    pub catalog: &'e dyn TypeCatalog,
    /// The number of the next node, as measuring counts them.
    pub number: usize,
    /// What fills the slots of the parts at hand.
    slots: HashMap<usize, String>,
    /// How many subqueries were met: those that run once, and the others.
    subplans: [usize; 2],
}

fn width(types: &[DataType]) -> usize {
    let width = |data_type: &DataType| match crate::types::builtin_type(data_type.oid) {
        Some(info) if info.length > 0 => usize::try_from(info.length).unwrap_or(8),
        _ => 32,
    };
    types.iter().map(width).sum()
}

fn on(name: &str, alias: &str) -> String {
    let (name, alias) = (quote(name), quote(alias));
    if name == alias { name } else { format!("{name} {alias}") }
}

impl Builder<'_> {
    fn node(&mut self, plan: &PlanNode, relationship: Option<&'static str>) -> Node {
        let number = self.number;
        self.number += 1;
        match &plan.node {
            Physical::Project { input, .. } => {
                let mut node = self.node(input, relationship);
                node.width = width(&plan.types);
                self.put_output(&mut node, plan);
                node
            }
            Physical::Filter { input, predicates } => {
                self.filtered(plan, number, input, predicates, relationship)
            }
            Physical::Apply(apply) => self.applied(plan, apply, relationship),
            Physical::NestedLoop(join) if join.on.is_empty() && is_asked_once(&join.left) => {
                self.searched_once(plan, join, relationship)
            }
            _ => self.own_node(plan, number, relationship),
        }
    }

    fn own_node(&mut self, plan: &PlanNode, number: usize, relationship: Option<&'static str>) -> Node {
        let (kind, title, facts) = self.title(plan);
        let mut node = Node {
            kind,
            title,
            facts,
            relationship,
            cost: of_physical(plan, &self.explained.costs),
            rows: plan.rows,
            width: width(&plan.types),
            actual: self.actual(number),
            is_shared: matches!(&plan.node, Physical::Table(scan) if scan.workers > 0),
            ..Node::default()
        };
        self.put_output(&mut node, plan);
        self.put_details(&mut node, plan);
        let measured = self.measured(number);
        if matches!(&plan.node, Physical::Table(scan) if scan.key_only)
            && self.explained.instruments.is_some()
        {
            // What an index says is as of the snapshot: no row is looked at for that.
            node.details.push(count("Heap Fetches", 0));
        }
        if let Physical::Gather { workers, .. } = &plan.node {
            node.details.push(count("Workers Planned", *workers as u64));
            if self.explained.instruments.is_some() {
                node.details.push(count("Workers Launched", measured.launched));
            }
        }
        if measured.removed > 0 {
            let loops = measured.loops.max(1);
            node.details.push(count("Rows Removed by Filter", measured.removed / loops));
        }
        if let Physical::NestedLoop(join) = &plan.node {
            self.note_slots(&join.lateral, &join.left);
        }
        match &plan.node {
            Physical::Table(scan) => {
                if let Access::Combined(combination) = &scan.access {
                    let searches = self.searches(&combination.set, scan, "Outer");
                    node.children.push(searches);
                }
            }
            Physical::HashJoin(join) => {
                node.children.push(self.node(&join.left, Some("Outer")));
                node.children.push(self.hash(number, &join.right));
            }
            Physical::TopN { input, .. } => {
                let sort = self.sort_below(plan, number, input);
                node.children.push(sort);
            }
            Physical::SetOperation { kind: SetKind::Union, all: false, left, right } => {
                let members = vec![self.node(left, Some("Member")), self.node(right, Some("Member"))];
                node.children.push(append(members));
            }
            Physical::SetOperation { left, right, .. } => {
                node.children = vec![self.node(left, Some("Member")), self.node(right, Some("Member"))];
            }
            _ => {
                let relationships = [Some("Outer"), Some("Inner")];
                for (input, relationship) in plan.inputs().into_iter().zip(relationships) {
                    let child = self.node(input, relationship);
                    node.children.push(child);
                }
                node.space = measured.space.map(space_used);
            }
        }
        node
    }

    /// The table of a hash join, with what was measured of making it.
    fn hash(&mut self, join: usize, plan: &PlanNode) -> Node {
        let actual = self.actual(self.number);
        let child = self.node(plan, Some("Outer"));
        Node {
            kind: "Hash",
            title: "Hash".into(),
            relationship: Some("Inner"),
            cost: Cost { startup: child.cost.total, total: child.cost.total },
            rows: child.rows,
            width: child.width,
            actual,
            space: self.measured(join).space.map(space_used),
            children: vec![child],
            ..Node::default()
        }
    }

    /// The sort of which only the first rows are kept.
    fn sort_below(&mut self, plan: &PlanNode, number: usize, input: &PlanNode) -> Node {
        let mut sort = Node {
            kind: "Sort",
            title: "Sort".into(),
            relationship: Some("Outer"),
            cost: self.explained.costs.sorted(of_physical(input, &self.explained.costs), input.rows),
            rows: input.rows,
            width: width(&input.types),
            actual: self.actual(number),
            space: self.measured(number).space.map(space_used),
            ..Node::default()
        };
        self.put_details(&mut sort, plan);
        sort.children.push(self.node(input, Some("Outer")));
        sort
    }

    /// A filter stands at the node that it filters, where that is one that PostgreSQL gives filters.
    fn filtered(
        &mut self,
        plan: &PlanNode,
        number: usize,
        input: &PlanNode,
        predicates: &[Expr],
        relationship: Option<&'static str>,
    ) -> Node {
        let below = self.measured(self.number);
        let mut node = self.node(input, relationship);
        if matches!(node.kind, "Sort" | "Limit" | "LockRows" | "Unique" | "Append" | "SetOp" | "ProjectSet") {
            let child = node;
            node = Node { kind: "Result", title: "Result".into(), relationship, ..Node::default() };
            node.width = child.width;
            node.children.push(Node { relationship: Some("Outer"), ..child });
        }
        let text = conjunction(self.catalog, predicates, &plan.names);
        node.details.push(fact("Filter", self.with_slots(&text)));
        let own = self.measured(number);
        if below.rows > own.rows {
            node.details.push(count("Rows Removed by Filter", (below.rows - own.rows) / own.loops.max(1)));
        }
        node.cost = of_physical(plan, &self.explained.costs);
        node.rows = plan.rows;
        node.actual = self.actual(number);
        node
    }

    fn applied(&mut self, plan: &PlanNode, apply: &Apply, relationship: Option<&'static str>) -> Node {
        self.note_slots(&apply.correlations, &apply.input);
        let mut node = self.node(&apply.input, relationship);
        node.cost = of_physical(plan, &self.explained.costs);
        let is_correlated = !apply.correlations.is_empty();
        let is_hashed = matches!(apply.kind, ApplyKind::Quantified { hashed: Some(_), .. });
        let is_initial = !is_correlated && !is_hashed;
        let number = self.subplans.iter().sum::<usize>() + 1;
        let initial = self.subplans[0];
        self.subplans[usize::from(!is_initial)] += 1;
        let (kind, label, name) = if is_initial {
            ("InitPlan", format!("InitPlan {number} (returns ${initial})"), format!("${initial}"))
        } else {
            let hashed = if is_hashed { "hashed " } else { "" };
            ("SubPlan", format!("SubPlan {number}"), format!("({hashed}SubPlan {number})"))
        };
        let marker = plan.names.last().and_then(|name| name.strip_prefix(SLOT));
        if let Some(slot) = marker.and_then(|digits| digits.parse().ok()) {
            self.slots.insert(slot, name);
        }
        let subplan = Node { subplan: Some(label), ..self.node(&apply.subquery, Some(kind)) };
        // What runs once, runs first.
        let before = node.children.iter().filter(|child| child.relationship == Some("InitPlan")).count();
        let at = if is_initial { before } else { node.children.len() };
        node.children.insert(at, subplan);
        node
    }

    /// A table that is searched for values that are asked for once: these stand at its scan, as they do where it is not a join.
    fn searched_once(
        &mut self,
        plan: &PlanNode,
        join: &NestedLoop,
        relationship: Option<&'static str>,
    ) -> Node {
        let row = self.node(&join.left, None);
        self.note_slots(&join.lateral, &join.left);
        let mut node = self.node(&join.right, relationship);
        node.cost = of_physical(plan, &self.explained.costs);
        node.children.splice(..0, row.children);
        node
    }

    fn put_output(&self, node: &mut Node, plan: &PlanNode) {
        if !self.options.verbose || plan.names.is_empty() {
            return;
        }
        let names = plan.names.iter().map(|name| self.with_slots(name)).collect();
        let output = Fact { key: "Output", value: Value::List(names), is_first: false };
        match node.details.first_mut().filter(|fact| fact.key == "Output") {
            Some(before) => *before = output,
            None => node.details.insert(0, output),
        }
    }

    fn measured(&self, number: usize) -> Instrument {
        let instruments = self.explained.instruments.unwrap_or_default();
        instruments.get(number).copied().unwrap_or_default()
    }

    pub(super) fn actual(&self, number: usize) -> Option<Actual> {
        self.explained.instruments?;
        let measured = self.measured(number);
        let loops = measured.loops.max(u64::from(measured.rows > 0));
        let per_loop = |time: std::time::Duration| time.as_secs_f64() * 1e3 / loops.max(1) as f64;
        let buffers = Buffers { hits: measured.hits, reads: measured.reads };
        Some(Actual {
            startup_ms: per_loop(measured.startup),
            total_ms: per_loop(measured.time),
            rows: measured.rows / loops.max(1),
            loops,
            buffers: self.options.buffers.then_some(buffers),
        })
    }

    fn note_slots(&mut self, slots: &[(usize, usize)], outer: &PlanNode) {
        for (slot, column) in slots {
            let name = outer.names.get(*column).cloned().unwrap_or_default();
            self.slots.insert(*slot, self.with_slots(&name));
        }
    }

    /// A text with what fills the slots in place of those.
    pub(super) fn with_slots(&self, text: &str) -> String {
        let mut parts = text.split(SLOT);
        let mut out = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
            let slot = part[..end].parse().unwrap_or(0);
            match self.slots.get(&slot) {
                Some(name) => out.push_str(name),
                None if slot >= FIRST_SUBPLAN => out.push_str("(SubPlan)"),
                None => out.push_str(&format!("${slot}")),
            }
            out.push_str(&part[end..]);
        }
        out
    }

    /// A scan's table, with its schema where that is wanted.
    fn scanned(&self, scan: &TableScan) -> (String, Vec<Fact>) {
        let table = &scan.table.table;
        let mut facts = vec![fact("Relation Name", &table.name)];
        let mut shown = on(&table.name, &scan.alias);
        if self.options.verbose
            && let Some(schema) = self.explained.catalog.schema(table.schema)
        {
            shown = format!("{}.{shown}", quote(&schema.name));
            facts.push(fact("Schema", &schema.name));
        }
        facts.push(fact("Alias", &scan.alias));
        (shown, facts)
    }

    /// What a node is called in documents and in text, and what else documents say first.
    fn title(&self, plan: &PlanNode) -> (&'static str, String, Vec<Fact>) {
        let named = |kind: &'static str| (kind, kind.to_string(), Vec::new());
        match &plan.node {
            Physical::Values { rows } if rows.len() == 1 => named("Result"),
            Physical::Values { .. } => {
                ("Values Scan", "Values Scan on \"*VALUES*\"".into(), vec![fact("Alias", "*VALUES*")])
            }
            Physical::Table(scan) => {
                let (table, facts) = self.scanned(scan);
                match &scan.access {
                    Access::Full { .. } if scan.workers > 0 => {
                        ("Seq Scan", format!("Parallel Seq Scan on {table}"), facts)
                    }
                    Access::Full { reverse } if scan.ordered => index_scan(
                        scan.is_own_key_only(),
                        *reverse,
                        scan.table.primary_key_name(),
                        &table,
                        facts,
                    ),
                    Access::Full { .. } => ("Seq Scan", format!("Seq Scan on {table}"), facts),
                    Access::Keys(access) if access.by_place => {
                        ("Tid Scan", format!("Tid Scan on {table}"), facts)
                    }
                    Access::Combined(_) => {
                        ("Bitmap Heap Scan", format!("Bitmap Heap Scan on {table}"), facts)
                    }
                    Access::Keys(access) => {
                        index_scan(scan.key_only, access.reverse, &access.index_name, &table, facts)
                    }
                }
            }
            Physical::Virtual { relation, alias, .. } => (
                "Seq Scan",
                format!("Seq Scan on {}", on(relation.name, alias)),
                vec![fact("Relation Name", relation.name), fact("Alias", alias)],
            ),
            Physical::Function { calls, alias, .. } => {
                let name = match calls.as_slice() {
                    [TableFunction::Call { call: Expr::Call(call), .. }] => &call.function.name,
                    [TableFunction::Relation { relation }] => relation.name,
                    [TableFunction::Report { function, .. }] => function.name,
                    [_] => "function",
                    _ => alias,
                };
                let facts = vec![fact("Function Name", name), fact("Alias", alias)];
                ("Function Scan", format!("Function Scan on {}", on(name, alias)), facts)
            }
            Physical::Filter { .. } | Physical::Project { .. } | Physical::Apply(_) => named("Result"),
            Physical::HashJoin(join) => {
                let kind = join_type(join.kind);
                let kind = if join.gives_right { format!("Right {kind}") } else { kind.to_string() };
                let facts = vec![fact("Join Type", kind)];
                let side = if join.gives_right { "Right " } else { "" };
                ("Hash Join", format!("Hash {side}{}", join_title(join.kind)), facts)
            }
            Physical::NestedLoop(join) => {
                let facts = vec![fact("Join Type", join_type(join.kind))];
                match join.kind {
                    JoinKind::Inner => ("Nested Loop", "Nested Loop".into(), facts),
                    kind => ("Nested Loop", format!("Nested Loop {}", join_title(kind)), facts),
                }
            }
            Physical::Aggregate { groups, phase, .. } => {
                let (strategy, name) =
                    if groups.is_empty() { ("Plain", "Aggregate") } else { ("Hashed", "HashAggregate") };
                match phase {
                    Phase::Whole => ("Aggregate", name.into(), aggregated(strategy, "Simple")),
                    Phase::Partial => {
                        ("Aggregate", format!("Partial {name}"), aggregated(strategy, "Partial"))
                    }
                    Phase::Final => {
                        ("Aggregate", format!("Finalize {name}"), aggregated(strategy, "Finalize"))
                    }
                }
            }
            Physical::Gather { .. } => named("Gather"),
            Physical::Distinct { sorted: true, .. } => named("Unique"),
            Physical::Distinct { .. } => {
                ("Aggregate", "HashAggregate".into(), aggregated("Hashed", "Simple"))
            }
            Physical::Recursive { .. } => named("Recursive Union"),
            Physical::Shared { alias, .. } => (
                "CTE Scan",
                format!("CTE Scan on {}", quote(alias)),
                vec![fact("CTE Name", alias), fact("Alias", alias)],
            ),
            Physical::WorkingTable { alias, .. } => (
                "WorkTable Scan",
                format!("WorkTable Scan on {alias}"),
                vec![fact("CTE Name", alias), fact("Alias", alias)],
            ),
            Physical::Window { .. } => named("WindowAgg"),
            Physical::ProjectSet { .. } => named("ProjectSet"),
            Physical::Lock { .. } => named("LockRows"),
            Physical::Sort { .. } => named("Sort"),
            Physical::TopN { .. } | Physical::Limit { .. } => named("Limit"),
            Physical::SetOperation { kind: SetKind::Union, all: true, .. } => named("Append"),
            Physical::SetOperation { kind: SetKind::Union, all: false, .. } => {
                ("Aggregate", "HashAggregate".into(), aggregated("Hashed", "Simple"))
            }
            Physical::SetOperation { kind, all, .. } => {
                let word = if *kind == SetKind::Intersect { "Intersect" } else { "Except" };
                let command = if *all { format!("{word} All") } else { word.to_string() };
                let facts = vec![first("Strategy", "Hashed"), fact("Command", command.clone())];
                ("SetOp", format!("HashSetOp {command}"), facts)
            }
        }
    }

    fn put_details(&self, node: &mut Node, plan: &PlanNode) {
        let catalog = self.catalog;
        let put = |node: &mut Node, key: &'static str, text: String| {
            node.details.push(fact(key, self.with_slots(&text)));
        };
        let put_list = |node: &mut Node, key: &'static str, texts: Vec<String>| {
            let texts = texts.iter().map(|text| self.with_slots(text)).collect();
            node.details.push(Fact { key, value: Value::List(texts), is_first: false });
        };
        match &plan.node {
            Physical::Table(scan) => {
                let mut remaining: Vec<Expr> = scan.filters.clone();
                // A scan's conditions are on its own columns.
                let columns = &scan.table.table.columns;
                let names = scan.projection.iter().map(|at| quote(&columns[*at].name));
                let names: Vec<String> = names.collect();
                match &scan.access {
                    Access::Full { .. } => {}
                    Access::Keys(access) => {
                        if let Some(condition) = index_condition(catalog, access) {
                            put(node, if access.by_place { "TID Cond" } else { "Index Cond" }, condition);
                        }
                        remaining.retain(|filter| !served(catalog, filter, access, &names));
                    }
                    Access::Combined(combination) => {
                        let columns: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
                        if let Some(condition) = recheck(catalog, &combination.set, &columns) {
                            put(node, "Recheck Cond", condition);
                        }
                        let mut position = 0..;
                        remaining
                            .retain(|_| !position.next().is_some_and(|at| combination.said.contains(&at)));
                    }
                }
                if !remaining.is_empty() {
                    put(node, "Filter", conjunction(catalog, &remaining, &names));
                }
            }
            Physical::Virtual { relation, projection, filters, .. } if !filters.is_empty() => {
                let names: Vec<String> =
                    projection.iter().map(|at| relation.columns[*at].0.to_string()).collect();
                put(node, "Filter", conjunction(catalog, filters, &names));
            }
            Physical::HashJoin(join) => {
                let text = |side: &Expr, names: &[String]| expression(catalog, side, names);
                let pairs = join.left_keys.iter().zip(&join.right_keys);
                let pairs = pairs.map(|(left, right)| {
                    format!("({} = {})", text(left, &join.left.names), text(right, &join.right.names))
                });
                let pairs: Vec<String> = pairs.collect();
                let condition =
                    if pairs.len() == 1 { pairs.concat() } else { format!("({})", pairs.join(" AND ")) };
                put(node, "Hash Cond", condition);
                if !join.residual.is_empty() {
                    let names: Vec<String> =
                        join.left.names.iter().chain(&join.right.names).cloned().collect();
                    put(node, "Join Filter", conjunction(catalog, &join.residual, &names));
                }
            }
            Physical::NestedLoop(join) if !join.on.is_empty() => {
                let names: Vec<String> = join.left.names.iter().chain(&join.right.names).cloned().collect();
                put(node, "Join Filter", conjunction(catalog, &join.on, &names));
            }
            Physical::Aggregate { input, groups, determined, .. } if !groups.is_empty() => {
                let keys = groups.iter().zip(determined).filter(|(_, determined)| !**determined);
                let keys = keys.map(|(key, _)| expression(catalog, key, &input.names));
                put_list(node, "Group Key", keys.collect());
            }
            Physical::Distinct { input, keys, sorted: false } if !keys.is_empty() => {
                let keys = keys.iter().map(|key| expression(catalog, key, &input.names));
                put_list(node, "Group Key", keys.collect());
            }
            // The keys stand at the sort below the limit.
            Physical::TopN { .. } if node.kind == "Limit" => {}
            Physical::Sort { input, keys } | Physical::TopN { input, keys, .. } => {
                put_list(node, "Sort Key", sort_keys(catalog, keys, &input.names));
            }
            _ => {}
        }
    }
}

/// What a scan of an index is called, or one of a table in the order of its key.
fn index_scan(
    key_only: bool,
    reverse: bool,
    name: &str,
    table: &str,
    mut facts: Vec<Fact>,
) -> (&'static str, String, Vec<Fact>) {
    let (backward, direction) = if reverse { (" Backward", "Backward") } else { ("", "Forward") };
    facts.insert(0, fact("Scan Direction", direction));
    facts.insert(1, fact("Index Name", name));
    let kind = if key_only { "Index Only Scan" } else { "Index Scan" };
    (kind, format!("{kind}{backward} using {} on {table}", quote(name)), facts)
}

fn aggregated(strategy: &'static str, mode: &'static str) -> Vec<Fact> {
    vec![first("Strategy", strategy), first("Partial Mode", mode)]
}

fn append(members: Vec<Node>) -> Node {
    let total = members.iter().map(|member| member.cost.total).sum();
    let actual = members.iter().map(|member| member.actual.as_ref()).collect::<Option<Vec<&Actual>>>();
    let actual = actual.map(|parts| Actual {
        startup_ms: parts.first().map_or(0.0, |part| part.startup_ms),
        total_ms: parts.iter().map(|part| part.total_ms).sum(),
        rows: parts.iter().map(|part| part.rows).sum(),
        loops: 1,
        buffers: None,
    });
    Node {
        kind: "Append",
        title: "Append".into(),
        relationship: Some("Outer"),
        cost: Cost { startup: 0.0, total },
        rows: members.iter().map(|member| member.rows).sum(),
        width: members.first().map_or(0, |member| member.width),
        actual,
        children: members,
        ..Node::default()
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

fn join_type(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "Inner",
        other => join_title(other).trim_end_matches(" Join"),
    }
}

/// How an operator that gathers rows did it.
fn space_used(space: SpaceUsed) -> (String, Vec<Fact>) {
    let kilobytes = |bytes: u64| bytes.div_ceil(1024);
    let sorted = |method: &'static str, kind: &'static str, bytes: u64| {
        let used = kilobytes(bytes);
        let facts =
            vec![fact("Sort Method", method), count("Sort Space Used", used), fact("Sort Space Type", kind)];
        (format!("Sort Method: {method}  {kind}: {used}kB"), facts)
    };
    match space {
        SpaceUsed::Sort { bytes, on_disk: false } => sorted("quicksort", "Memory", bytes),
        SpaceUsed::Sort { bytes, on_disk: true } => sorted("external merge", "Disk", bytes),
        SpaceUsed::FirstRows { bytes } => sorted("top-N heapsort", "Memory", bytes),
        SpaceUsed::HashTable { buckets, batches, bytes } => {
            let used = kilobytes(bytes);
            let facts = vec![
                count("Hash Buckets", buckets),
                count("Original Hash Buckets", buckets),
                count("Hash Batches", batches),
                count("Original Hash Batches", batches),
                count("Peak Memory Usage", used),
            ];
            (format!("Buckets: {buckets}  Batches: {batches}  Memory Usage: {used}kB"), facts)
        }
        SpaceUsed::Groups { batches, bytes, disk_bytes } => {
            let (used, disk) = (kilobytes(bytes), kilobytes(disk_bytes));
            let facts = vec![
                count("Planned Partitions", 0),
                count("HashAgg Batches", batches),
                count("Peak Memory Usage", used),
                count("Disk Usage", disk),
            ];
            let more = if disk > 0 { format!("  Disk Usage: {disk}kB") } else { String::new() };
            (format!("Batches: {batches}  Memory Usage: {used}kB{more}"), facts)
        }
    }
}
