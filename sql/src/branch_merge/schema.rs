//! Three versions of a catalog: what of the source's comes to the target.
//!
//! Objects are known by their OIDs, which are never given twice in a folder, so that what was made on a branch keeps its
//! OID when it is merged. Tables are merged column by column (`columns.rs`), comments text by text, all others as a whole.
//! A materialized view is merged as a table is, but for its rows: they come from its query, so the target keeps its own until
//! the next refresh, and those of the source come along only where the view does.
//! What the base and the source say of columns by number is put into the merged table's numbers first (`renumber.rs`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::base_catalog::BaseCatalog;
use super::base_table::{BaseTable, Undecided};
use super::columns::{self, Conversion, Twin};
use super::matching::Places;
use super::objects::{Class, Objects, belongs_to, is_same, objects, shown};
use super::overlap::Overlap;
use super::renumber::{Numbers, bare, names_gone, numbers, renumbered};
use super::report::{Finding, Report, Settled};
use crate::catalog::{CatalogSnapshot, ColumnNumber, Comments, ConstraintKind, Object, Table};
use crate::ddl::Thing;
use crate::functions::FIRST_USER_OID;
use crate::types::is_user_type;

/// An object as it was, where there was one, and as it is to be.
pub type Put = (Option<Object>, Object);

/// What is to be done to the target's catalog.
#[derive(Default)]
pub struct Plan {
    pub drops: Vec<Thing>,
    /// Columns whose cells change: table, and how.
    pub conversions: Vec<(u32, Conversion)>,
    /// Tables that get another primary key, and its columns.
    pub keys: Vec<(u32, Vec<String>)>,
    /// What rows need: schemas, types, tables, sequences.
    pub before_rows: Vec<Put>,
    /// What is made from rows: indexes, constraints, views, comments.
    pub after_rows: Vec<Put>,
    /// Tables whose rows are merged.
    pub tables: Vec<TableVersions>,
    /// Columns that no NULL may be in any more: their table, and their positions.
    pub not_null: Vec<(u32, Vec<usize>)>,
}

/// A table whose rows are merged.
pub struct TableVersions {
    pub oid: u32,
    /// The base's table, and where its columns are.
    pub base: Option<(Arc<Table>, Places)>,
    pub source: (Arc<Table>, Places),
    /// Columns that both sides added.
    pub twins: Vec<Twin>,
    /// Columns that the target dropped and gets back: where they are in the base and in the merged table.
    pub restored: Vec<(usize, usize)>,
    /// How many columns the target had, dropped ones among them.
    pub own_width: usize,
}

impl Plan {
    /// Whether the catalog stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drops.is_empty()
            && self.conversions.is_empty()
            && self.keys.is_empty()
            && self.before_rows.is_empty()
            && self.after_rows.is_empty()
    }
}

/// Merges catalogs; conflicts go to the report. What this merge dropped of the target already is `cleared`.
pub fn plan(
    base: &BaseCatalog,
    source: &CatalogSnapshot,
    target: &CatalogSnapshot,
    (overlap, cleared): (&Overlap, &[Thing]),
    report: &mut Report,
) -> Plan {
    let mut merging = Merging {
        base,
        source: objects(source),
        target: objects(target),
        catalogs: [source, target],
        base_numbers: Numbers::new(),
        source_numbers: Numbers::new(),
        added: HashMap::new(),
        restored: HashSet::new(),
        kept: HashSet::new(),
        overlap,
        cleared,
        plan: Plan::default(),
        report,
    };
    let mut keys: Vec<(Class, u32)> =
        merging.base.objects.keys().chain(merging.source.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        merging.merge(key);
    }
    merging.plan
}

/// Where nothing is undecided.
static DECIDED: std::sync::LazyLock<Undecided> = std::sync::LazyLock::new(Undecided::default);

struct Merging<'a> {
    base: &'a BaseCatalog,
    source: Objects,
    target: Objects,
    /// Of the source and the target.
    catalogs: [&'a CatalogSnapshot; 2],
    base_numbers: Numbers,
    source_numbers: Numbers,
    /// Objects that the source adds; false: that it wanted to add.
    added: HashMap<u32, bool>,
    /// What the target dropped and gets back, tables with the number 0 and columns with that of the merged table.
    restored: HashSet<(u32, ColumnNumber)>,
    /// What the source dropped and the target keeps, likewise.
    kept: HashSet<(u32, ColumnNumber)>,
    overlap: &'a Overlap,
    cleared: &'a [Thing],
    plan: Plan,
    report: &'a mut Report,
}

impl Merging<'_> {
    fn merge(&mut self, key: (Class, u32)) {
        let get = |objects: &Objects| objects.get(&key).cloned();
        let versions = (get(&self.base.objects), get(&self.source), get(&self.target));
        match versions {
            (None, Some(Object::Table(source)), None) => self.add_table(source),
            (base, Some(Object::Table(source)), Some(Object::Table(target))) => {
                let base = if let Some(Object::Table(base)) = base { Some(base) } else { None };
                self.merge_table(base, source, &target);
            }
            (Some(Object::Table(base)), None, Some(Object::Table(target))) => self.drop_table(&base, &target),
            (Some(Object::Table(_)), Some(Object::Table(source)), None) if source.materialized.is_some() => {}
            (Some(Object::Table(base)), Some(Object::Table(source)), None) => {
                self.restore_table(&base, source);
            }
            (base, source, target) => self.merge_whole(key, base, source, target),
        }
    }

    fn add_table(&mut self, source: Arc<Table>) {
        // The columns that its query reads have the target's numbers there.
        let object = renumbered(&Object::Table(source.clone()), &self.source_numbers);
        if !self.may_add(&object) {
            return;
        }
        let places: Places = (0..source.columns.len()).map(Some).collect();
        self.report.change(|| change("create", shown(self.catalogs[0], &Object::Table(source.clone()))));
        self.plan.before_rows.push((None, object));
        let (twins, restored, own_width) = (Vec::new(), Vec::new(), source.columns.len());
        self.plan.tables.push(TableVersions {
            oid: source.oid,
            base: None,
            source: (source, places),
            twins,
            restored,
            own_width,
        });
    }

    fn merge_table(&mut self, base: Option<Arc<Table>>, source: Arc<Table>, target: &Arc<Table>) {
        let shown = shown(self.catalogs[1], &Object::Table(target.clone()));
        let common = base.clone().unwrap_or_else(|| columns::common(&source, target).into());
        let merged = {
            let known = base.as_ref().and_then(|base| self.base.table(base.oid));
            let undecided = known.map_or(&*DECIDED, |base| &base.undecided);
            let cleared = self.cleared.iter().filter_map(|thing| match thing {
                Thing::Column(table, number) if *table == target.oid => Some(*number),
                _ => None,
            });
            let cleared: Vec<ColumnNumber> = cleared.collect();
            let target = (&**target, cleared.as_slice());
            columns::merge(&common, undecided, &source, target, self.overlap, &shown, self.report)
        };
        self.base_numbers.insert(source.oid, numbers(&merged.base));
        self.source_numbers.insert(source.oid, numbers(&merged.source));
        self.plan.drops.extend(merged.dropped.iter().map(|number| Thing::Column(target.oid, *number)));
        self.plan.conversions.extend(merged.converted.iter().map(|each| (target.oid, each.clone())));
        self.kept.extend(merged.kept.iter().map(|place| (target.oid, target.columns[*place].number)));
        let restored = merged.restored.iter().map(|(_, place)| merged.table.columns[*place].number);
        self.restored.extend(restored.map(|number| (target.oid, number)));
        let may_have_null = |place: usize| target.columns.get(place).is_none_or(|column| !column.not_null);
        let columns = merged.table.columns.iter().enumerate().filter(|(_, column)| column.not_null);
        let not_null: Vec<usize> = columns.map(|(place, _)| place).filter(|at| may_have_null(*at)).collect();
        if !not_null.is_empty() {
            self.plan.not_null.push((target.oid, not_null));
        }
        if let Some(key) = &merged.key {
            if self.is_referred_to(target.oid) {
                let why =
                    "its primary key was changed on the branch, and foreign keys of the target refer to it";
                self.report.refuse(Finding::of_object(shown, why.into()));
                return;
            }
            let names = key.iter().map(|at| target.columns[*at].name.clone()).collect();
            self.plan.keys.push((target.oid, names));
        }
        let is_changed = merged.table != **target;
        // That columns of both sides are the same is nothing that anybody sees.
        let is_seen = columns::is_changed(target, &merged.table);
        if is_seen || merged.key.is_some() || !merged.dropped.is_empty() || !merged.converted.is_empty() {
            self.report.change(|| change("alter", shown));
        }
        if is_changed {
            let table = Table { schema_version: target.schema_version + 1, ..merged.table };
            self.plan.before_rows.push((Some(Object::Table(target.clone())), table.into()));
        }
        if target.materialized.is_some() {
            return;
        }
        self.plan.tables.push(TableVersions {
            oid: target.oid,
            base: base.map(|base| (base, merged.base)),
            source: (source, merged.source),
            twins: merged.twins,
            restored: merged.restored,
            own_width: target.columns.len(),
        });
    }

    /// Whether a side declares a table otherwise than the base.
    fn is_changed(&self, base: &Table, now: &Table) -> bool {
        let is_undecided =
            |base: &BaseTable| base.undecided.has_attributes() || !base.undecided.columns.is_empty();
        self.base.table(base.oid).is_some_and(is_undecided) || columns::is_changed(base, now)
    }

    /// A table that the source dropped.
    fn drop_table(&mut self, base: &Table, target: &Arc<Table>) {
        let shown = shown(self.catalogs[1], &Object::Table(target.clone()));
        let change_of_target = match self.is_changed(base, target) {
            true => "changed on the target",
            // What a materialized view holds comes from its query.
            false if target.materialized.is_none() && self.overlap.target.has_rows(base.oid) => {
                "its rows changed on the target"
            }
            false => "",
        };
        if !change_of_target.is_empty() {
            let why = format!("dropped on the branch, {change_of_target}");
            if self.report.settle(|| Finding::of_object(shown.clone(), why)) == Settled::Ours {
                self.kept.insert((target.oid, 0));
                return;
            }
        }
        self.plan.drops.push(Thing::Table(target.oid));
        self.report.change(|| change("drop", shown));
    }

    /// A table that the target dropped: it comes back where the source, which changed it since, wins.
    fn restore_table(&mut self, base: &Table, source: Arc<Table>) {
        let shown = shown(self.catalogs[0], &Object::Table(source.clone()));
        let change = match self.is_changed(base, &source) {
            true => "changed on the branch",
            false if self.overlap.source.has_rows(base.oid) => "its rows changed on the branch",
            false => return,
        };
        let why = || Finding::of_object(shown, format!("{change}, dropped on the target"));
        if self.report.settle(why) == Settled::Theirs {
            self.restored.insert((source.oid, 0));
            self.add_table(source);
        }
    }

    /// Objects that are taken from a side as they are.
    fn merge_whole(
        &mut self,
        key: (Class, u32),
        base: Option<Object>,
        source: Option<Object>,
        target: Option<Object>,
    ) {
        let mut base = base.map(|base| renumbered(&base, &self.base_numbers));
        let source = source.map(|source| renumbered(&source, &self.source_numbers));
        if target.is_none() && source.as_ref().is_some_and(|source| belongs_to(source, &self.restored)) {
            // It comes back with that.
            base = None;
        }
        // What is undecided equals nothing.
        let is_undecided = base.is_some() && self.base.is_undecided(key);
        let is_of_base = |side: Option<&Object>| !is_undecided && is_same(base.as_ref(), side);
        if is_of_base(source.as_ref()) || is_same(source.as_ref(), target.as_ref()) {
            return;
        }
        // A primary key that was dropped and made again is the same; another one was refused with its table.
        let is_key =
            |object: &Option<Object>| object.as_ref().is_some_and(|object| self.is_key_of_both(object));
        if (source.is_none() && is_key(&target)) || (target.is_none() && is_key(&source)) {
            return;
        }
        let named = source.as_ref().or(target.as_ref()).or(base.as_ref());
        let catalog = self.catalogs[usize::from(source.is_none())];
        let Some(shown) = named.map(|object| shown(catalog, object)) else { return };
        match (&base, source, target) {
            (None, Some(source), None) => {
                if self.may_add(&source) {
                    self.put(key.0, None, source, "create", shown);
                }
            }
            (Some(_), None, Some(target))
                if self.goes_with_table(&target) || belongs_to(&target, &self.kept) => {}
            (Some(_), None, Some(target)) => {
                let why = || {
                    Finding::of_object(shown.clone(), "dropped on the branch, changed on the target".into())
                };
                if is_of_base(Some(&target)) || self.report.settle(why) == Settled::Theirs {
                    self.drop(target, shown);
                }
            }
            (Some(_), Some(_), None) => {
                let why = || Finding::of_object(shown, "changed on the branch, dropped on the target".into());
                self.report.refuse_unless(Settled::Ours, why);
            }
            (_, Some(source), Some(target)) => {
                let merged = match (&base, &source, &target) {
                    (Some(Object::Comments(base)), Object::Comments(source), Object::Comments(target)) => {
                        Some(self.merge_comments(base, source, target, &shown))
                    }
                    _ if is_of_base(Some(&target)) => Some(source),
                    _ => {
                        let why = || Finding::of_object(shown.clone(), "both sides changed it".into());
                        (self.report.settle(why) == Settled::Theirs).then_some(source)
                    }
                };
                if let Some(merged) = merged.filter(|merged| bare(merged) != bare(&target)) {
                    self.put(key.0, Some(target), merged, "alter", shown);
                }
            }
            (_, None, _) => {}
        }
    }

    fn put(
        &mut self,
        class: Class,
        old: Option<Object>,
        new: Object,
        operation: &'static str,
        shown: String,
    ) {
        self.report.change(|| change(operation, shown));
        let list = match class {
            Class::Schema | Class::Extension | Class::Type | Class::Table | Class::Sequence => {
                &mut self.plan.before_rows
            }
            Class::Index
            | Class::ExtendedStatistics
            | Class::Constraint
            | Class::View
            | Class::Comments
            | Class::Rights
            | Class::DefaultRights => &mut self.plan.after_rows,
        };
        list.push((old, new));
    }

    fn drop(&mut self, object: Object, shown: String) {
        let thing = match &object {
            Object::Schema(schema) => Thing::Schema(schema.oid),
            Object::Index(index) => Thing::Index(index.oid),
            Object::ExtendedStatistics(own) => Thing::Statistics(own.oid),
            Object::Constraint(constraint) => Thing::Constraint(constraint.oid),
            Object::Sequence(sequence) => Thing::Sequence(sequence.oid),
            Object::View(view) => Thing::View(view.oid),
            Object::Type(own) => Thing::Type(own.oid),
            // They go with what they are about.
            _ => return,
        };
        self.report.change(|| change("drop", shown));
        self.plan.drops.push(thing);
    }

    /// Whether there is room for an object that the source made: its name is free, and what it belongs to is there.
    fn may_add(&mut self, object: &Object) -> bool {
        let target = self.catalogs[1];
        let holder = match object {
            Object::Schema(schema) => target.schema_named(&schema.name).map(|schema| schema.oid),
            Object::Type(own) => target.type_named(own.schema, &own.name),
            Object::Table(table) => target.relation_named(table.schema, &table.name),
            Object::Sequence(sequence) => target.relation_named(sequence.schema, &sequence.name),
            Object::View(view) => target.relation_named(view.schema, &view.name),
            Object::Index(index) => target.relation_named(index.schema, &index.name),
            Object::Constraint(constraint) => target
                .constraints()
                .find(|each| each.table == constraint.table && each.name == constraint.name)
                .map(|each| each.oid),
            _ => None,
        };
        let is_taken = holder.is_some_and(|oid| !self.goes(oid));
        let missing = self.owners(object).into_iter().find(|owner| !self.is_there(*owner));
        let is_gone = names_gone(object);
        let may_add = !is_taken && !is_gone && missing.is_none();
        self.added.insert(object.oid(), may_add);
        if !may_add && !missing.is_some_and(|owner| self.added.contains_key(&owner)) {
            let shown = shown(self.catalogs[0], object);
            let why = if is_taken {
                "made on both sides"
            } else {
                "made on the branch for what the target dropped"
            };
            self.report.refuse_unless(Settled::Ours, || Finding::of_object(shown, why.into()));
        }
        may_add
    }

    /// What an object of the source cannot be without; of its columns' types those of users.
    fn owners(&self, object: &Object) -> Vec<u32> {
        let mut owners = owners(object);
        if let Object::Table(table) = object {
            let types = table.live_columns().map(|column| column.type_oid).filter(|oid| is_user_type(*oid));
            let elements =
                types.map(|oid| self.catalogs[0].user_type(oid).map_or(oid, |own| own.definition.oid));
            owners.extend(elements);
        }
        owners
    }

    /// Whether an object of the target is one that the source dropped.
    fn goes(&self, oid: u32) -> bool {
        let is_in = |objects: &Objects| objects.keys().any(|key| key.1 == oid);
        is_in(&self.base.objects) && !is_in(&self.source)
    }

    /// Whether an object of the target belongs to a table that the source dropped: it goes with that, or stays where the
    /// target keeps it.
    fn goes_with_table(&self, object: &Object) -> bool {
        let table = match object {
            Object::Index(index) => index.table,
            Object::ExtendedStatistics(own) => own.table,
            Object::Constraint(constraint) => constraint.table,
            Object::Sequence(sequence) => match &sequence.owned_by {
                Some(owner) => owner.table,
                None => return false,
            },
            _ => return false,
        };
        self.goes(table) && has_table(&self.target, table)
    }

    /// Whether a foreign key of the target refers to a table's primary key.
    fn is_referred_to(&self, table: u32) -> bool {
        let target = self.catalogs[1];
        target.constraints().any(|each| match each.kind {
            ConstraintKind::ForeignKey { index, .. } => {
                target.index(index).is_some_and(|index| index.primary && index.table == table)
            }
            _ => false,
        })
    }

    /// Whether an object is a part of the primary key of a table that both sides have.
    fn is_key_of_both(&self, object: &Object) -> bool {
        let table = match object {
            Object::Index(index) if index.primary => index.table,
            Object::Constraint(each) if matches!(each.kind, ConstraintKind::PrimaryKey { .. }) => each.table,
            _ => return false,
        };
        has_table(&self.source, table) && has_table(&self.target, table)
    }

    fn is_there(&self, oid: u32) -> bool {
        let is_kept = |class| self.target.contains_key(&(class, oid));
        oid < FIRST_USER_OID
            || self.added.get(&oid).copied().unwrap_or(false)
            || [
                Class::Schema,
                Class::Type,
                Class::Table,
                Class::Sequence,
                Class::Index,
                Class::Constraint,
                Class::View,
            ]
            .into_iter()
            .any(is_kept)
    }

    fn merge_comments(
        &mut self,
        base: &Comments,
        source: &Comments,
        target: &Comments,
        shown: &str,
    ) -> Object {
        let text = |comments: &Comments, number: i16| {
            comments.texts.iter().find(|each| each.0 == number).map(|each| each.1.clone())
        };
        let mut merged = target.clone();
        let mut numbers: Vec<i16> = base.texts.iter().chain(&source.texts).map(|each| each.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let (old, theirs, ours) = (text(base, number), text(source, number), text(target, number));
            if theirs == old || theirs == ours {
                continue;
            }
            let why = || Finding::of_object(shown.to_string(), "both sides changed it".into());
            if ours == old || self.report.settle(why) == Settled::Theirs {
                merged.texts.retain(|each| each.0 != number);
                merged.texts.extend(theirs.map(|text| (number, text)));
            }
        }
        merged.texts.sort();
        merged.into()
    }
}

/// Whether there is a table, or a materialized view, of that OID.
fn has_table(objects: &Objects, oid: u32) -> bool {
    matches!(objects.get(&(Class::Table, oid)), Some(Object::Table(_)))
        || matches!(objects.get(&(Class::View, oid)), Some(Object::Table(_)))
}

/// What an object cannot be without.
fn owners(object: &Object) -> Vec<u32> {
    match object {
        Object::Table(table) => {
            let sources = table.materialized.iter().flat_map(|materialized| &materialized.sources);
            sources.map(|each| each.relation).chain([table.schema]).collect()
        }
        Object::Index(index) => vec![index.table],
        Object::ExtendedStatistics(own) => vec![own.table, own.schema],
        Object::Constraint(constraint) => {
            let mut owners = vec![constraint.table];
            if let ConstraintKind::ForeignKey { table, index, .. } = &constraint.kind {
                owners.extend([*table, *index]);
            }
            owners
        }
        Object::Sequence(sequence) => {
            let owner = sequence.owned_by.map(|owner| owner.table);
            owner.into_iter().chain([sequence.schema]).collect()
        }
        Object::View(view) => view.sources.iter().map(|each| each.relation).chain([view.schema]).collect(),
        Object::Type(own) => vec![own.schema],
        Object::Extension(extension) => vec![extension.schema],
        Object::Comments(comments) => vec![comments.oid],
        Object::Rights(rights) => vec![rights.oid],
        Object::DefaultRights(rights) => {
            Some(rights.schema).filter(|schema| *schema != 0).into_iter().collect()
        }
        Object::Schema(_) | Object::Role(_) | Object::Configuration(_) | Object::Statistics(_) => Vec::new(),
    }
}

fn change(operation: &'static str, object: String) -> Finding {
    Finding { operation, conflict: None, ..Finding::of_object(object, String::new()) }
}
