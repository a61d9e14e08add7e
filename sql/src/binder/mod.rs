//! From the parser's tree to a typed logical plan: names are resolved, functions chosen, conversions made
//! explicit, parameters given types; all of it with PostgreSQL's errors.
//!
//! A query binds at a [`scope::Level`]; subqueries bind at deeper ones. A name not found at its own level is
//! looked up further out and becomes `Expr::Outer`: a slot that the operator running the subquery fills before
//! each run.

mod access;
mod aggregate;
mod assignment;
mod call;
mod cast;
mod coerce;
mod collation;
mod common_table;
mod conflict;
pub mod data_type;
mod derivation;
mod domain;
mod expression;
mod from;
mod grouping;
mod literal;
mod merge;
mod modify;
mod moment;
pub mod name;
mod order;
mod outer_aggregate;
mod outer_join;
mod over_rows;
mod places;
mod query;
mod recursion;
mod recursive;
mod refresh;
mod rights;
mod row_key;
mod rows;
mod sample;
pub mod scope;
mod search_cycle;
mod select;
mod special;
mod subquery;
mod system_column;
mod table_function;
mod view;
mod waiting;
mod window;
mod within_group;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlparser::ast;
use sqlparser::tokenizer::Location;

use crate::catalog::{
    CatalogSnapshot, INFORMATION_SCHEMA, Index, PG_CATALOG, Rights, SUPERUSER, Schema, SequenceEntry,
    TableEntry, TypeScope, View,
};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::Settings;
use crate::parser::Source;
use crate::plan::logical::{AggregateCall, ColumnId, Computed, Logical, SubqueryKind};
use crate::plan::window::{WindowCall, WindowOrder};
use crate::plan::{Costs, Means, walk};
use crate::relations::{self, VirtualRelation};
use crate::rights::{Actor, RelationUse, Who};
use crate::types::domain::{base_type, underlying};
use crate::types::{DataType, TypeCatalog, TypeInfo};
use scope::Level;

use collation::names_collations;
pub use collation::{at_collate, check_collation, is_collation, split_collation};
pub use common_table::BoundChange;
pub use conflict::{BoundConflict, BoundConflictUpdate};
pub use domain::{BoundCheck, test_domain};
pub use literal::{LiteralUse, StarUse};
pub use merge::{BoundMerge, MergeAction, MergeWhen};
pub use modify::{BoundDelete, BoundInsert, BoundUpdate, InsertValue};
pub use moment::{KnownMoment, MomentKind, Moments, moment_of};
pub use over_rows::{BoundReturning, OverRows, RowsQuery};
pub use query::lock_words;
pub use refresh::BoundDifference;
pub use row_key::ROW_KEY;
pub use view::{parse_stable_name, stable_name};

/// A column of a statement's result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultColumn {
    pub name: String,
    pub data_type: DataType,
    /// The stored table's column it comes from.
    pub source: Option<(u32, i16)>,
}

/// A bound query.
#[derive(Clone)]
pub struct BoundQuery {
    pub plan: Logical,
    /// The result's columns: ids into the plan's outputs, and what they are called.
    pub columns: Vec<(ColumnId, ResultColumn)>,
}

/// What names and defaults of a session matter to binding.
#[derive(Clone, Debug, Default)]
pub struct BindEnvironment {
    /// The schemas that unqualified names are looked up in, in order; `pg_catalog` among them.
    pub search_path: Vec<u32>,
    pub database: String,
    /// Who looks.
    pub who: Who,
    /// What plans are weighed by.
    pub costs: Costs,
    /// What AS OF names.
    pub moments: Moments,
    /// Whether the session reads the past, so that all tables say what they are read as of.
    pub reads_past: bool,
    /// How literals are read.
    pub settings: Arc<Settings>,
}

/// A relation that a name means.
pub enum Relation {
    Stored(Arc<TableEntry>),
    Virtual(&'static VirtualRelation),
    Sequence(Arc<SequenceEntry>),
    View(Arc<View>),
    Index(Arc<Index>),
}

/// What kind of relation one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    View,
    MaterializedView,
    Sequence,
    Index,
}

impl RelationKind {
    /// What it is called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            RelationKind::Sequence => "sequence",
            RelationKind::Index => "index",
        }
    }

    /// What several of them are called.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            RelationKind::Table => "tables",
            RelationKind::View => "views",
            RelationKind::MaterializedView => "materialized views",
            RelationKind::Sequence => "sequences",
            RelationKind::Index => "indexes",
        }
    }
}

impl Relation {
    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> RelationKind {
        match self {
            Relation::Stored(entry) if entry.table.materialized.is_some() => RelationKind::MaterializedView,
            Relation::Stored(_) => RelationKind::Table,
            Relation::Virtual(relation) if relation.kind == b'v' => RelationKind::View,
            Relation::Virtual(_) => RelationKind::Table,
            Relation::Sequence(_) => RelationKind::Sequence,
            Relation::View(_) => RelationKind::View,
            Relation::Index(_) => RelationKind::Index,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Relation::Stored(entry) => &entry.table.name,
            Relation::Virtual(relation) => relation.name,
            Relation::Sequence(entry) => &entry.sequence.name,
            Relation::View(view) => &view.name,
            Relation::Index(index) => &index.name,
        }
    }

    /// Its OID.
    #[must_use]
    pub fn oid(&self) -> u32 {
        match self {
            Relation::Virtual(relation) => relation.oid,
            stored => stored.stored_oid().unwrap_or(0),
        }
    }

    /// The role that owns it; 0 for an index, which is its table's.
    #[must_use]
    pub fn owner(&self) -> u32 {
        match self {
            Relation::Stored(entry) => entry.table.owner,
            Relation::Sequence(entry) => entry.sequence.owner,
            Relation::View(view) => view.owner,
            Relation::Index(_) => 0,
            Relation::Virtual(_) => SUPERUSER,
        }
    }

    /// Its OID, if it is stored in the catalog.
    #[must_use]
    pub fn stored_oid(&self) -> Option<u32> {
        match self {
            Relation::Stored(entry) => Some(entry.table.oid),
            Relation::Sequence(entry) => Some(entry.sequence.oid),
            Relation::View(view) => Some(view.oid),
            Relation::Index(index) => Some(index.oid),
            Relation::Virtual(_) => None,
        }
    }

    /// Whether it ends with its session.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Relation::Stored(entry) => entry.table.is_temporary,
            Relation::Sequence(entry) => entry.sequence.is_temporary,
            Relation::View(view) => view.is_temporary,
            Relation::Virtual(_) | Relation::Index(_) => false,
        }
    }

    /// The table or materialized view that it is.
    ///
    /// # Errors
    /// As [`Relation::into_table`].
    pub fn into_stored(self) -> Result<Arc<TableEntry>> {
        match self {
            Relation::Stored(entry) => Ok(entry),
            other => other.into_table(),
        }
    }

    /// The table that it is, to change its rows.
    ///
    /// # Errors
    /// 42809 and 42501 for what is no table.
    pub fn into_table(self) -> Result<Arc<TableEntry>> {
        match self {
            Relation::Stored(entry) if entry.table.materialized.is_some() => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change materialized view \"{}\"", entry.table.name),
            )),
            Relation::Stored(entry) => Ok(entry),
            Relation::Virtual(relation) => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", relation.name),
            )),
            Relation::Sequence(entry) => Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change sequence \"{}\"", entry.sequence.name),
            )),
            Relation::View(view) => Err(SqlError::unsupported(format!(
                "changing rows through view \"{}\" is not supported yet",
                view.name
            ))),
            Relation::Index(index) => Err(cannot_open(&index.name)),
        }
    }
}

/// 42809 for an index where a relation with rows is needed.
fn cannot_open(index: &str) -> SqlError {
    SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot open relation \"{index}\""))
        .with_detail("This operation is not supported for indexes.")
}

/// A subquery met in an expression, to be run by an operator below the one that evaluates the expression.
struct PendingApply {
    subquery: Logical,
    kind: SubqueryKind,
    correlations: Vec<crate::plan::logical::Correlation>,
    output: ColumnId,
    data_type: DataType,
}

/// Whether aggregates may appear where an expression is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AggregatesIn {
    /// They belong to the query.
    Query,
    /// Not here: the clause's name, for the error.
    Forbidden(&'static str),
    /// Within another aggregate's arguments.
    Aggregate,
}

impl AggregatesIn {
    /// Where a query's own tables are still being bound.
    const FROM: AggregatesIn = AggregatesIn::Forbidden("FROM clause of their own query level");
}

/// What one query level collects while its expressions are bound.
struct Collector {
    /// Which of the levels it collects for.
    level: usize,
    pending: Vec<PendingApply>,
    /// Subqueries in the arguments of aggregates and in GROUP BY: they run below the aggregation.
    pending_below: Vec<PendingApply>,
    aggregates: Vec<(ColumnId, AggregateCall)>,
    /// GROUPING calls.
    groupings: Vec<grouping::GroupingCall>,
    /// The ways to group, where there are several.
    grouping_sets: Option<Vec<Vec<Expr>>>,
    /// Calls over windows, by the order of their rows.
    windows: Vec<(WindowOrder, Vec<(ColumnId, WindowCall)>)>,
    /// The WINDOW clause.
    named_windows: Vec<(String, ast::WindowSpec)>,
    aggregates_in: AggregatesIn,
    /// Calls of functions of rows, those that others take as arguments first.
    row_calls: Vec<(ColumnId, Expr)>,
    /// Whether such calls may appear where an expression is bound.
    row_calls_allowed: bool,
    /// Where columns were mentioned, for errors about grouping.
    mentions: Vec<(ColumnId, Location)>,
    /// The columns of direct arguments of aggregates WITHIN GROUP, and where these begin.
    direct: Vec<(ColumnId, Location)>,
    /// Subqueries as they are written, where the query groups: one that is written again may be the same.
    written: Option<Vec<(ast::Expr, Expr)>>,
    /// The columns that GROUP BY reads, once it is bound.
    grouped: Option<Vec<ColumnId>>,
}

impl Collector {
    /// What a subquery became that was written before: in GROUP BY, any of the select list; behind it, those that are
    /// grouped.
    fn known_subquery(&self, wanted: &ast::Expr) -> Option<Expr> {
        let in_groups = self.aggregates_in == AggregatesIn::Forbidden("GROUP BY");
        let is_known = |expr: &Expr| {
            let mut fits = false;
            walk::columns(expr, &mut |id| {
                fits |= match &self.grouped {
                    Some(grouped) => grouped.contains(&id),
                    None => in_groups && self.pending.iter().any(|pending| pending.output == id),
                };
            });
            fits
        };
        let written = self.written.as_ref()?.iter();
        written
            .filter(|(known, _)| known == wanted)
            .map(|(_, expr)| expr)
            .find(|expr| is_known(expr))
            .cloned()
    }

    /// Takes out the subqueries that grouped expressions read, and those that these read.
    fn take_pending_of(&mut self, groups: &[Computed]) -> Vec<PendingApply> {
        let mut wanted: Vec<ColumnId> = Vec::new();
        for group in groups {
            walk::columns(&group.expr, &mut |id| wanted.push(id));
        }
        let mut taken = Vec::new();
        for at in (0..self.pending.len()).rev() {
            if wanted.contains(&self.pending[at].output) {
                let pending = self.pending.remove(at);
                if let SubqueryKind::Quantified { comparison, .. } = &pending.kind {
                    walk::columns(comparison, &mut |id| wanted.push(id));
                }
                wanted.extend(pending.correlations.iter().map(|correlation| correlation.column));
                taken.push(pending);
            }
        }
        taken.reverse();
        taken
    }

    fn new(aggregates_in: AggregatesIn, levels: &[Level]) -> Collector {
        Collector {
            level: levels.len().saturating_sub(1),
            pending: Vec::new(),
            pending_below: Vec::new(),
            aggregates: Vec::new(),
            groupings: Vec::new(),
            grouping_sets: None,
            windows: Vec::new(),
            named_windows: Vec::new(),
            aggregates_in,
            row_calls: Vec::new(),
            row_calls_allowed: false,
            mentions: Vec::new(),
            direct: Vec::new(),
            written: None,
            grouped: None,
        }
    }
}

impl Collector {
    fn window_count(&self) -> usize {
        self.windows.iter().map(|(_, calls)| calls.len()).sum()
    }
}

/// A common table expression in scope.
struct CommonTable {
    name: String,
    columns: Vec<String>,
    query: Arc<ast::Query>,
    /// How many of the expressions before it are in its own scope.
    visible: usize,
    /// Its query names itself.
    is_recursive: bool,
    /// Where its name stands.
    location: Location,
    /// SEARCH and CYCLE.
    following: search_cycle::Following,
    /// Its rows so far, while its recursive term is being bound.
    working: Option<recursive::Working>,
    /// It is read more than once, or said to be MATERIALIZED.
    is_shared: bool,
    /// Where its rows are, once that is known.
    shared: Option<common_table::Shared>,
}

/// Binds one statement.
pub struct Binder<'a> {
    catalog: &'a CatalogSnapshot,
    /// The same, but while AS OF looks into another one: rights are those of now.
    present: &'a CatalogSnapshot,
    environment: &'a BindEnvironment,
    source: Source<'a>,
    /// The parameters' types; `unknown` until something decides them.
    parameters: Vec<DataType>,
    /// What is wrong with the first parameter that was met, where there may be none.
    first_parameter: Option<SqlError>,
    next_column: ColumnId,
    next_slot: usize,
    /// How many calls were met that wait and may change something.
    waiting_calls: usize,
    next_working_table: usize,
    levels: Vec<Level>,
    collectors: Vec<Collector>,
    common_tables: Vec<CommonTable>,
    /// The column of the keys that the query which is being bound asks for.
    asked_key: Option<ColumnId>,
    /// How many nodes the definitions below readings of common tables have.
    shared_nodes: usize,
    /// The names of those that the one that is being bound cannot read: itself, and the ones behind it.
    unreachable: Vec<String>,
    /// What WITH changes, with the numbers of the tables that the returned rows go to.
    changes: Vec<(usize, BoundChange)>,
    /// Inside a call over a window: why there may be no other one.
    in_window: Option<&'static str>,
    /// The views that are being bound, the innermost last.
    views: Vec<Arc<View>>,
    /// The columns of stored relations that were named, but for those within views.
    used_columns: BTreeSet<(u32, i16)>,
    /// What the statement needs of relations.
    uses: Vec<RelationUse>,
    /// Whose rights count within a view.
    as_role: Option<u32>,
    /// The shapes of records among the columns of subqueries, where they are known.
    record_columns: HashMap<ColumnId, Vec<(String, DataType)>>,
    /// How many subqueries, views and expressions deep the binder is.
    depth: usize,
    /// Where the literals of unknown type stand.
    literals: Vec<Location>,
    /// What became of them, where that was asked for.
    literal_uses: Option<Vec<LiteralUse>>,
    /// The stars of select lists, noted with those.
    star_uses: Vec<StarUse>,
    /// The text may have COLLATE in it.
    names_collations: bool,
}

/// The deepest nesting of queries.
const QUERY_DEPTH_MAX: usize = 500;

fn too_deep() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
}

impl<'a> Binder<'a> {
    /// A binder for a statement of `text`, with the parameter types that the client declared.
    #[must_use]
    pub fn new(
        catalog: &'a CatalogSnapshot,
        environment: &'a BindEnvironment,
        text: &'a str,
        parameters: Vec<DataType>,
    ) -> Binder<'a> {
        Binder {
            catalog,
            present: catalog,
            environment,
            source: Source::new(text),
            parameters,
            first_parameter: None,
            next_column: 0,
            next_slot: 0,
            waiting_calls: 0,
            next_working_table: 0,
            levels: Vec::new(),
            collectors: Vec::new(),
            common_tables: Vec::new(),
            asked_key: None,
            shared_nodes: 0,
            unreachable: Vec::new(),
            changes: Vec::new(),
            in_window: None,
            views: Vec::new(),
            used_columns: BTreeSet::new(),
            uses: Vec::new(),
            as_role: None,
            record_columns: HashMap::new(),
            depth: 0,
            literals: Vec::new(),
            literal_uses: None,
            star_uses: Vec::new(),
            names_collations: names_collations(text),
        }
    }

    /// 42P02 for the first parameter that was met, for statements that may have none.
    pub fn take_first_parameter(&mut self) -> Option<SqlError> {
        self.first_parameter.take()
    }

    /// The parameters' types, after binding.
    ///
    /// # Errors
    /// 42P18 for one that nothing decided.
    pub fn parameter_types(&self) -> Result<Vec<DataType>> {
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.oid == crate::types::oids::UNKNOWN || parameter.oid == 0 {
                return Err(SqlError::new(
                    SqlState::INDETERMINATE_DATATYPE,
                    format!("could not determine data type of parameter ${}", index + 1),
                ));
            }
        }
        Ok(self.parameters.clone())
    }

    /// What plans are weighed by.
    #[must_use]
    pub fn costs(&self) -> &'a Costs {
        &self.environment.costs
    }

    /// How many slots for outer values the statement uses.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.next_slot
    }

    /// The columns of stored relations that were named: relations' OIDs and columns' numbers.
    #[must_use]
    pub fn used_columns(&self) -> &BTreeSet<(u32, i16)> {
        &self.used_columns
    }

    /// The catalog in use.
    #[must_use]
    pub fn catalog(&self) -> &'a CatalogSnapshot {
        self.catalog
    }

    /// The types, under the names that the session knows them by.
    #[must_use]
    pub fn types(&self) -> TypeScope<'a> {
        TypeScope { catalog: self.catalog, search_path: &self.environment.search_path }
    }

    /// What the planner goes by.
    #[must_use]
    pub fn means(&self) -> Means<'a> {
        Means { costs: self.costs(), types: self.types() }
    }

    /// The type under a domain; any other type is its own.
    #[must_use]
    pub fn underlying(&self, data_type: DataType) -> DataType {
        underlying(data_type, &self.types())
    }

    /// The element type of an array type, and of a domain over one.
    fn element_of(&self, data_type: DataType) -> Option<u32> {
        let types = self.types();
        types.type_by_oid(base_type(data_type.oid, &types)).and_then(TypeInfo::element)
    }

    fn column_id(&mut self) -> ColumnId {
        self.next_column += 1;
        self.next_column - 1
    }

    /// The position of a location in the text.
    fn position(&self, location: Location) -> Option<u32> {
        self.source.position_of(location)
    }

    /// Adds a location to an error that has none.
    fn locate(&self, error: SqlError, location: Location) -> SqlError {
        match self.position(location) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    /// Runs `bind` for a query one level deeper.
    fn deeper<T>(&mut self, bind: impl FnOnce(&mut Binder<'a>) -> Result<T>) -> Result<T> {
        if self.depth >= QUERY_DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        crate::watch::check()?;
        let result = stacker::maybe_grow(256 << 10, 4 << 20, || bind(self));
        self.depth -= 1;
        result
    }

    /// The relation that a name means.
    ///
    /// # Errors
    /// 42P01, 3F000, 0A000.
    pub fn relation(&self, object: &ast::ObjectName) -> Result<Relation> {
        let (schema, base) = name::split(object)?;
        self.relation_named(schema.as_deref(), &base)
            .map_err(|error| self.locate(error, name::location(object)))
    }

    /// The same, for a name in parts.
    ///
    /// # Errors
    /// As [`Binder::relation`].
    pub fn relation_named(&self, schema: Option<&str>, base: &str) -> Result<Relation> {
        let environment = self.environment;
        let actor = environment.who.among(self.present);
        lookup_relation(self.catalog, &actor, &environment.search_path, schema, base)
    }

    /// The stored table that a name means, to change it.
    ///
    /// # Errors
    /// As [`Binder::relation`]; 42809 for what is no table.
    pub fn stored_table(&self, object: &ast::ObjectName) -> Result<Arc<TableEntry>> {
        let relation = self.relation(object)?;
        let actor = self.environment.who.among(self.present);
        if let Relation::Virtual(computed) = relation
            && !actor.is_superuser()
        {
            return Err(crate::rights::denied(relation.kind().word(), computed.name));
        }
        relation.into_table()
    }
}

/// The stored relation of an OID.
#[must_use]
pub fn stored_relation(catalog: &CatalogSnapshot, oid: u32) -> Option<Relation> {
    if let Some(entry) = catalog.table(oid) {
        return Some(Relation::Stored(entry.clone()));
    }
    if let Some(entry) = catalog.sequence(oid) {
        return Some(Relation::Sequence(entry.clone()));
    }
    if let Some(view) = catalog.view(oid) {
        return Some(Relation::View(view.clone()));
    }
    catalog.index(oid).cloned().map(Relation::Index)
}

/// 42501 for a schema that somebody may not look into.
///
/// # Errors
/// That.
pub fn check_usage(actor: &Actor<'_>, schema: &Schema) -> Result<()> {
    // One that is no more, which AS OF may name, is its owner's.
    let is_there = actor.catalog.schema(schema.oid).is_some();
    let may =
        if is_there { actor.may_in_schema(schema.oid, Rights::USAGE) } else { actor.has_role(schema.owner) };
    if may { Ok(()) } else { Err(crate::rights::denied("schema", &schema.name)) }
}

/// Finds a relation by name.
///
/// # Errors
/// 42P01; 3F000 for an unknown schema, 42501 for one that may not be used.
pub fn lookup_relation(
    catalog: &CatalogSnapshot,
    actor: &Actor<'_>,
    search_path: &[u32],
    schema: Option<&str>,
    base: &str,
) -> Result<Relation> {
    let in_schema = |oid: u32| -> Result<Option<Relation>> {
        if oid == PG_CATALOG || oid == INFORMATION_SCHEMA {
            // Those of large objects are tables, once there are any.
            let stored = catalog.relation_named(oid, base).and_then(|found| stored_relation(catalog, found));
            return Ok(stored.or_else(|| relations::find(oid, base).map(Relation::Virtual)));
        }
        match catalog.relation_named(oid, base) {
            None => Ok(None),
            Some(relation) => match stored_relation(catalog, relation) {
                None if catalog.is_composite(relation) => {
                    let message = format!("\"{base}\" is a composite type");
                    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
                }
                found => Ok(found),
            },
        }
    };
    match schema {
        Some(schema) => {
            let of_session =
                |oid: &&u32| catalog.schema(**oid).is_some_and(|it| it.name.starts_with("pg_temp_"));
            let own = search_path.iter().find(of_session).filter(|_| schema == "pg_temp");
            let found = own.and_then(|oid| catalog.schema(*oid)).or_else(|| catalog.schema_named(schema));
            let Some(found) = found else {
                return Err(name::undefined_table(Some(schema), base));
            };
            check_usage(actor, found)?;
            in_schema(found.oid)?.ok_or_else(|| name::undefined_table(Some(schema), base))
        }
        None => {
            for oid in search_path {
                if let Some(relation) = in_schema(*oid)? {
                    return Ok(relation);
                }
            }
            Err(name::undefined_table(None, base))
        }
    }
}
