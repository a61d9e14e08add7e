//! A merge within its transaction, step by step.
//!
//! 1. Types of columns are converted and objects dropped, as ALTER and DROP do it; then the catalogs are compared again,
//!    since the target's tables are others now.
//! 2. What rows need is put into the catalog; rows are merged, under the constraints that the target had.
//! 3. Indexes and constraints that come from the source are made last, from the merged rows, and tested on them.
//! 4. Foreign keys that were broken in between are looked at again; the merge is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use helios_mvcc::{BranchId, Snapshot};

use super::ancestry;
use super::base::Base;
use super::base_rows::{BaseRows, Differences, Leaf};
use super::columns::{Conversion, key_places};
use super::constraints::{self, Untested};
use super::counted;
use super::lineage::{Divergences, Lineage};
use super::matching::Places;
use super::objects::shown;
use super::overlap::Overlap;
use super::rekeyed;
use super::report::Report;
use super::reshaped;
use super::rows::{self, Reading, Target, does_not_fit};
use super::schema::{self, Plan, Put, TableVersions};
use crate::binder::name::quote;
use crate::catalog::{CatalogSnapshot, ConstraintKind, Object, Table};
use crate::ddl::{self, Ddl, Thing};
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::functions::{CastContext, registry};
use crate::parser::{self, StatementKind, Utility};
use crate::types::format_type;
use crate::value::Datum;

/// What is to be merged.
pub struct Request {
    pub source: BranchId,
}

/// Merges a branch into that of the transaction; tells whether there was anything to merge.
///
/// # Errors
/// Those of DDL, and of reading and writing; conflicts and broken constraints go to the report.
pub async fn apply(ddl: &mut Ddl, request: &Request, report: &mut Report) -> Result<bool> {
    let store = ddl.engine.store().clone();
    let now = ddl.execution.transaction.snapshot().scn;
    let source = Snapshot { branch: request.source, scn: now };
    let target = ddl.execution.transaction.snapshot();
    let contained = ancestry::ancestry(&store, source).await?;
    let base = {
        let own = ancestry::ancestry(&store, target).await?;
        let directory = ddl.engine.directory();
        Base::find(&store, &contained, &own, |branch| directory.has(branch)).await?
    };
    let source_catalog = ddl.engine.past_catalog(source).await?;
    let mut lineage = Lineage::new(&base, &ddl.engine, &ddl.execution).await?;
    reshaped::refuse_ambiguous(lineage.catalog(lineage.base()), &source_catalog, &ddl.catalog)?;
    let (theirs, ours) = (lineage.add(source, &source_catalog), lineage.add(target, &ddl.catalog));
    let overlap = Overlap::find(&lineage, lineage.base(), theirs, ours, &ddl.execution).await?;
    let sides = Sides { theirs, ours };
    let mut merge = Merge { lineage, sides, target, source_catalog, overlap };
    let plan = merge.plan(ddl, &[], report);
    if report.is_refused() {
        return Ok(true);
    }
    let mut theirs = Divergences::new(&store, source);
    let plan = merge.clear_away(plan, ddl, report).await?;
    if report.is_refused() {
        return Ok(true);
    }
    let has_plan = !plan.is_empty();
    put_all(ddl, plan.before_rows).await?;
    ddl.refresh().await?;
    merge.lineage.read_for(&ddl.catalog);
    for versions in &plan.tables {
        merge.rows(versions, &mut theirs, ddl, report).await?;
    }
    if !report.has_merged_rows() {
        return Ok(true);
    }
    // Rows that break constraints were written all the same: all that is broken is found, before it is rolled back.
    finish_schema(ddl, plan.after_rows, plan.not_null, report).await?;
    constraints::check_pending(ddl, report).await?;
    ancestry::record(&mut ddl.execution.transaction, &contained).await?;
    Ok(has_plan || report.changes > 0 || ddl.execution.transaction.has_writes())
}

/// The moments that are merged, with their catalogs.
struct Merge {
    lineage: Lineage,
    sides: Sides,
    target: Snapshot,
    source_catalog: Arc<CatalogSnapshot>,
    overlap: Overlap,
}

/// Which nodes of the lineage the sides are.
struct Sides {
    theirs: usize,
    ours: usize,
}

impl Merge {
    /// What is to be done, after this merge dropped some things of the target.
    fn plan(&self, ddl: &Ddl, cleared: &[Thing], report: &mut Report) -> Plan {
        let base = self.lineage.catalog(self.lineage.base());
        schema::plan(base, &self.source_catalog, &ddl.catalog, (&self.overlap, cleared), report)
    }

    /// Converts columns and drops objects; gives the plan of what is left to do.
    async fn clear_away(&self, plan: Plan, ddl: &mut Ddl, report: &mut Report) -> Result<Plan> {
        let changes_attributes = reshaped::changes_attributes(&plan.before_rows);
        if plan.drops.is_empty() && plan.conversions.is_empty() && plan.keys.is_empty() && !changes_attributes
        {
            return Ok(plan);
        }
        if changes_attributes {
            reshaped::change_attributes(ddl, &plan.before_rows).await?;
        }
        for (table, columns) in &plan.keys {
            let before = ddl.catalog.expect_table(*table)?.clone();
            let writer = ddl.writer(&before)?;
            let changed = self.change_key(ddl, *table, columns).await;
            ddl.refresh().await?;
            if let Err(error) = changed {
                // Rows of the target that the new key does not admit.
                let is_of_rows = error.state().as_str().starts_with("23");
                let key = self.source_catalog.table(*table).filter(|_| is_of_rows);
                let key = key.and_then(|entry| entry.indexes.iter().find(|index| index.primary).cloned());
                match key {
                    Some(key) => constraints::check_key(ddl, &writer, (&key, columns), report).await?,
                    None => violate(ddl, *table, error, report)?,
                }
                return Ok(plan);
            }
        }
        for (table, conversion) in &plan.conversions {
            let converted = convert(ddl, *table, conversion).await;
            ddl.refresh().await?;
            if let Err(error) = converted {
                violate(ddl, *table, error, report)?;
                return Ok(plan);
            }
        }
        drop_all(ddl, &plan.drops).await?;
        ddl.refresh().await?;
        // What was decided before is decided the same way: nothing is left to decide.
        Ok(self.plan(ddl, &plan.drops, &mut report.another()))
    }

    /// Gives a table of the target the primary key that it has on the source.
    async fn change_key(&self, ddl: &mut Ddl, table: u32, columns: &[String]) -> Result<()> {
        let name_in = |catalog: &CatalogSnapshot| -> Option<String> {
            let entry = catalog.table(table)?;
            Some(quote(entry.primary_key_name())).filter(|_| !entry.table.primary_key.is_empty())
        };
        let mut changes = Vec::new();
        changes.extend(name_in(&ddl.catalog).map(|name| format!("DROP CONSTRAINT {name}")));
        let columns: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let columns = columns.join(", ");
        changes.extend(
            name_in(&self.source_catalog)
                .map(|name| format!("ADD CONSTRAINT {name} PRIMARY KEY ({columns})")),
        );
        alter(ddl, table, &changes.join(", ")).await
    }

    /// Merges the rows of a table.
    async fn rows(
        &self,
        versions: &TableVersions,
        theirs: &mut Divergences,
        ddl: &mut Ddl,
        report: &mut Report,
    ) -> Result<()> {
        let entry = ddl.catalog.expect_table(versions.oid)?.clone();
        let base = self.base_rows(versions, &entry.table, &ddl.execution)?;
        let is_whole = !versions.restored.is_empty();
        let source = &versions.source.0;
        let mut differing = self.differing(base.as_ref(), source, theirs, is_whole).await?;
        let Some(first) = differing.next().await? else { return Ok(()) };
        let name = shown(&ddl.catalog, &Object::Table(entry.table.clone()));
        let reshapes = self.lineage.reshapes(self.sides.theirs);
        let rows = Target::new(ddl.writer(&entry)?, name, versions, reshapes);
        if let Some(base) = &base
            && let Some(by) = told_apart(
                versions,
                base,
                &entry.table,
                self.lineage.reshapes_key(&ddl.catalog, &entry.table),
            )
        {
            let all = theirs.since(self.lineage.moment()).await?.all_rows(None, Some(source.tree))?;
            return rekeyed::merge(&rows, &by, (base, all), &mut ddl.execution, report).await;
        }
        if !entry.table.primary_key.is_empty() {
            return rows::merge(&rows, base, first, differing, &mut ddl.execution, report).await;
        }
        let before = ddl.engine.past_catalog(self.target).await?;
        let own = before.table(versions.oid).map(|entry| &*entry.table);
        // Rows of the target as they were before anything was converted.
        let reading = own.map(|own| {
            let reshapes = self.lineage.reshapes(self.sides.ours);
            Reading::of_target(own, &entry.table, versions).reshaped(reshapes)
        });
        let mut ours = Divergences::new(self.lineage.store(), self.target);
        let sides = [
            counted::Side { table: Some(source), divergences: theirs, reading: &rows.source },
            counted::Side {
                table: own,
                divergences: &mut ours,
                reading: reading.as_ref().unwrap_or(&rows.own),
            },
        ];
        let moment = self.lineage.moment();
        counted::merge(&rows, (base.as_ref(), moment), sides, &mut ddl.execution, report).await
    }

    /// What the base has of a table, as rows of the merged one; `None` where it has it not.
    fn base_rows(
        &self,
        versions: &TableVersions,
        merged: &Table,
        execution: &Execution,
    ) -> Result<Option<BaseRows>> {
        let Some((_, places)) = &versions.base else { return Ok(None) };
        let mut places = places.clone();
        // What the target's rows do not hold any more, those of the base did.
        let restored = versions.restored.iter().map(|(at, place)| (*at, *place));
        restored.for_each(|(at, place)| places[at] = Some(place));
        let mut missing: Vec<Datum> = merged.columns.iter().map(|column| column.missing.clone()).collect();
        for twin in &versions.twins {
            missing[twin.place] = twin.merged.clone();
        }
        let (node, context) = (self.lineage.base(), execution.context());
        BaseRows::new(&self.lineage, node, versions.oid, &places, (merged, missing), &context).map(Some)
    }

    /// The rows that the source may have otherwise than the base.
    async fn differing(
        &self,
        base: Option<&BaseRows>,
        source: &Table,
        theirs: &mut Divergences,
        is_whole: bool,
    ) -> Result<Differences> {
        match base {
            Some(base) => theirs.rows(&[base], source, is_whole).await,
            None => {
                let moment = self.lineage.moment();
                let all = theirs.since(moment).await?.tree(None, Some(source.tree)).await?;
                Ok(Differences::new(theirs.pivot(), vec![(moment, all)]))
            }
        }
    }
}

/// By which columns the rows of a table are told apart whose primary key is another one than at the base, or on the source, or
/// has the same columns, but `is_reshaped`: with other bytes for the same row; `None` for other tables.
fn told_apart(
    versions: &TableVersions,
    rows: &BaseRows,
    merged: &Table,
    is_reshaped: bool,
) -> Option<Vec<usize>> {
    let (base, base_places) = versions.base.as_ref()?;
    let own: Places = (0..merged.columns.len()).map(Some).collect();
    let keys = [
        key_places(base, base_places),
        key_places(&versions.source.0, &versions.source.1),
        key_places(merged, &own),
    ];
    let has_same = |leaf: &Leaf| key_places(&leaf.table, &leaf.places) == keys[0];
    if !is_reshaped && keys[0] == keys[1] && keys[1] == keys[2] && rows.leaves().all(has_same) {
        return None;
    }
    keys.into_iter().find(|key| !key.is_empty()).map(|key| key.into_iter().flatten().collect())
}

/// `ALTER TABLE … ALTER COLUMN … TYPE …`, as an assignment where there is one: so that nothing is cut off in silence.
async fn convert(ddl: &mut Ddl, table: u32, conversion: &Conversion) -> Result<()> {
    let entry = ddl.catalog.expect_table(table)?.clone();
    let old = &entry.table.columns[conversion.place];
    let (column, data_type) = (quote(&old.name), conversion.data_type);
    let type_name = format_type(data_type, &ddl.types());
    let converted = format!("CAST({column} AS {type_name})");
    let assigns = old.type_oid == data_type.oid || {
        let (context, types) = (CastContext::Assignment, ddl.types());
        registry().cast_method(old.type_oid, data_type.oid, context, &types).is_some()
    };
    let change = match &conversion.refill {
        None if assigns => format!("ALTER COLUMN {column} TYPE {type_name}"),
        None => format!("ALTER COLUMN {column} TYPE {type_name} USING {converted}"),
        Some((unwritten, merged)) => {
            let literal = |value: &Datum, type_oid: u32| -> Result<String> {
                if value.is_null() {
                    return Ok("NULL".into());
                }
                let text = ddl.execution.context().to_text(value, type_oid)?;
                Ok(format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
            };
            let (unwritten, merged) = (literal(unwritten, old.type_oid)?, literal(merged, data_type.oid)?);
            let old_type = format_type(old.data_type(), &ddl.types());
            format!(
                "ALTER COLUMN {column} DROP NOT NULL, ALTER COLUMN {column} TYPE {type_name} USING CASE WHEN CAST({column} AS text) \
                 IS NOT DISTINCT FROM CAST(CAST({unwritten} AS {old_type}) AS text) THEN CAST({merged} AS {type_name}) ELSE {converted} END"
            )
        }
    };
    if old.generated || (old.default.is_none() && conversion.refill.is_none()) {
        return alter(ddl, table, &change).await;
    }
    // Its default may be none of the new type; the one that it is to have is.
    alter(ddl, table, &format!("ALTER COLUMN {column} DROP DEFAULT, {change}")).await?;
    ddl.refresh().await?;
    let mut changed = (*ddl.catalog.expect_table(table)?.table).clone();
    let column = &mut changed.columns[conversion.place];
    column.default.clone_from(&conversion.default);
    if let Some((_, merged)) = &conversion.refill {
        // Nothing is read from it any more; it tells which cells were not written.
        column.missing.clone_from(merged);
    }
    if let Some(default) = &conversion.default {
        ddl.binder(default).bind_default(column, &parser::parse_expression(default)?)?;
    }
    ddl.put(changed).await
}

/// `ALTER TABLE …`
async fn alter(ddl: &mut Ddl, table: u32, change: &str) -> Result<()> {
    let entry = ddl.catalog.expect_table(table)?.clone();
    let schema =
        ddl.catalog.schema(entry.table.schema).map_or_else(String::new, |schema| quote(&schema.name));
    let text = format!("ALTER TABLE {schema}.{} {change}", quote(&entry.table.name));
    let mut statements = parser::parse(&text)?;
    match statements.pop().map(|statement| statement.kind) {
        Some(StatementKind::Utility(Utility::Define(definition))) => {
            ddl::Work::Definition(&definition).run(ddl, &text).await.map(|_| ())
        }
        _ => Err(SqlError::internal("ALTER TABLE is read as something else")),
    }
}

/// Drops objects, whole tables before what belongs to them.
async fn drop_all(ddl: &mut Ddl, drops: &[Thing]) -> Result<()> {
    if drops.is_empty() { Ok(()) } else { ddl::drop_things(ddl, drops, false).await }
}

/// Puts objects into the catalog, with trees and counters of their own.
async fn put_all(ddl: &mut Ddl, puts: Vec<Put>) -> Result<()> {
    for (old, new) in puts {
        put(ddl, old, new).await?;
    }
    Ok(())
}

async fn put(ddl: &mut Ddl, old: Option<Object>, mut new: Object) -> Result<()> {
    match &mut new {
        Object::Table(table) => {
            let table = Arc::make_mut(table);
            ddl.lock(table).await?;
            if old.is_none() {
                table.tree = ddl.execution.transaction.create_tree();
            }
        }
        Object::Index(index) => {
            let index = Arc::make_mut(index);
            index.tree = match &old {
                Some(Object::Index(old)) => old.tree,
                _ if index.primary => ddl.catalog.expect_table(index.table)?.table.tree,
                _ => ddl.execution.transaction.create_tree(),
            };
        }
        Object::Sequence(sequence) => {
            if let Some(Object::Sequence(old)) = &old {
                let sequence = Arc::make_mut(sequence);
                (sequence.counter, sequence.initial) = (old.counter, old.initial);
            }
        }
        _ => {}
    }
    match old {
        Some(old) => ddl.replace(old, new).await,
        None => ddl.put(new).await,
    }
}

/// Makes indexes, constraints, views and comments, and tests the merged rows on what is new; `not_null` are columns, by table,
/// that may hold no NULLs any more.
async fn finish_schema(
    ddl: &mut Ddl,
    puts: Vec<Put>,
    not_null: Vec<(u32, Vec<usize>)>,
    report: &mut Report,
) -> Result<()> {
    let (mut indexes, mut referring) = (Vec::new(), BTreeSet::new());
    let mut untested: BTreeMap<u32, Untested> = BTreeMap::new();
    for (table, columns) in not_null {
        untested.entry(table).or_default().not_null = columns;
    }
    for (old, new) in puts {
        match (&old, &new) {
            (None, Object::Index(index)) if !index.primary => indexes.push((index.table, index.oid)),
            (_, Object::Constraint(constraint)) if constraint.validated => match constraint.kind {
                ConstraintKind::Check { .. } => {
                    untested.entry(constraint.table).or_default().checks.push(constraint.name.clone());
                }
                ConstraintKind::ForeignKey { .. } => {
                    referring.insert(constraint.table);
                }
                _ => {}
            },
            _ => {}
        }
        put(ddl, old, new).await?;
    }
    ddl.refresh().await?;
    for (table, index) in indexes {
        let entry = ddl.catalog.expect_table(table)?.clone();
        let Some(index) = ddl.catalog.index(index).cloned() else { continue };
        let writer = ddl.writer(&entry)?;
        constraints::check_unique(ddl, &writer, &index, report).await?;
    }
    for (table, untested) in untested {
        constraints::check_rows(ddl, table, &untested, report).await?;
    }
    for table in referring {
        constraints::check_references(ddl, table, report).await?;
    }
    Ok(())
}

/// Notes that rows of a table break a constraint, or hold what is no value of a column's new type.
///
/// # Errors
/// Any other error than that.
fn violate(ddl: &Ddl, table: u32, error: SqlError, report: &mut Report) -> Result<()> {
    if !error.state().as_str().starts_with("23") && !does_not_fit(&error) {
        return Err(error);
    }
    let entry = ddl.catalog.expect_table(table)?;
    report.violate(shown(&ddl.catalog, &Object::Table(entry.table.clone())), None, error);
    Ok(())
}
