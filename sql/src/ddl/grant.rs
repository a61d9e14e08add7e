//! GRANT and REVOKE of rights on objects.
//!
//! For each object: who grants best (its owner, or the role that has most of the options), what that role may grant of
//! what is wanted, with PostgreSQL's warnings about the rest, and the list that comes of it.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName};

use super::user_type::{Named, named};
use super::{Ddl, default_rights, owned, role};
use crate::binder::{Relation, check_usage, name, stored_relation};
use crate::catalog::{
    ColumnNumber, Database, EVERYBODY, Grant, ObjectRights, PG_CATALOG, PG_CLASS, PG_DATABASE, PG_LANGUAGE,
    PG_NAMESPACE, PG_PROC, PG_TYPE, Rights, SYSTEM_COLUMNS, Schema, SecuredKind,
};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::FIRST_USER_OID;
use crate::parser::{GrantKind, GrantStatement, GrantTarget, RightsStatement};
use crate::relations::{LANGUAGES, function_oid, procedures, type_named};
use crate::rights::{
    self, Behavior, Change, Secured, best_grantor, denied, merge, object_type, refused, relation, schema,
};
use crate::types::{DataType, format_type};

pub async fn define(ddl: &mut Ddl, statement: &RightsStatement) -> Result<()> {
    match statement {
        RightsStatement::Grant(grant) => on_objects(ddl, grant).await,
        RightsStatement::Default { roles, schemas, grant } => {
            default_rights::alter(ddl, roles, schemas, grant).await
        }
        RightsStatement::Reassign { roles, to } => owned::reassign(ddl, roles, to).await,
        RightsStatement::DropOwned { roles, cascade } => owned::drop_owned(ddl, roles, *cascade).await,
    }
}

/// Whether it is for the catalog of the folder.
pub fn is_about_databases(grant: &GrantStatement) -> bool {
    matches!(grant.on, GrantTarget::Objects { kind: GrantKind::Database, .. })
}

/// What a GRANT says, as far as it is the same for all its objects.
pub struct Wanted<'a> {
    pub statement: &'a GrantStatement,
    pub grantees: Vec<u32>,
    /// On whole objects.
    pub rights: Rights,
    /// On columns, by the names that the statement gives.
    columns: Vec<(Vec<&'a Ident>, Rights)>,
}

impl Wanted<'_> {
    /// It names no rights, but means all.
    fn is_all(&self) -> bool {
        self.statement.rights.is_none()
    }

    /// How it changes a list.
    pub fn change(&self, grantor: u32, rights: Rights) -> Change<'_> {
        Change {
            is_grant: self.statement.is_grant,
            option: self.statement.option,
            behavior: if self.statement.cascade { Behavior::Cascade } else { Behavior::Restrict },
            grantees: &self.grantees,
            rights,
            grantor,
        }
    }
}

/// The kind of rights that are on objects of a kind, and what errors call that.
fn secured_kind(kind: GrantKind) -> (SecuredKind, &'static str) {
    match kind {
        GrantKind::Table => (SecuredKind::Relation, "relation"),
        GrantKind::Sequence => (SecuredKind::Sequence, "sequence"),
        GrantKind::Database => (SecuredKind::Database, "database"),
        GrantKind::Schema => (SecuredKind::Schema, "schema"),
        GrantKind::Type => (SecuredKind::Type, "type"),
        GrantKind::Domain => (SecuredKind::Type, "domain"),
        GrantKind::Function => (SecuredKind::Function, "function"),
        GrantKind::Language => (SecuredKind::Language, "language"),
        GrantKind::Tablespace => (SecuredKind::Tablespace, "tablespace"),
        GrantKind::LargeObject => (SecuredKind::LargeObject, "large object"),
        GrantKind::ForeignDataWrapper => (SecuredKind::ForeignDataWrapper, "foreign-data wrapper"),
        GrantKind::ForeignServer => (SecuredKind::ForeignServer, "foreign server"),
        GrantKind::Parameter => (SecuredKind::Parameter, "parameter"),
    }
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_GRANT_OPERATION, message)
}

fn invalid_right(right: Rights, word: &str) -> SqlError {
    invalid(format!("invalid privilege type {} for {word}", right.name()))
}

/// Resolves what a statement names that is no object.
pub fn wanted<'a>(ddl: &Ddl, statement: &'a GrantStatement, kind: GrantKind) -> Result<Wanted<'a>> {
    if let Some(grantor) = &statement.grantor
        && role::find(ddl, grantor)?.oid != ddl.own_role()
    {
        return Err(SqlError::unsupported("grantor must be current user"));
    }
    let mut grantees = Vec::new();
    for grantee in &statement.grantees {
        grantees.push(match grantee {
            None => EVERYBODY,
            Some(grantee) => role::find(ddl, grantee)?.oid,
        });
    }
    let (secured, word) = secured_kind(kind);
    let mut wanted = Wanted { statement, grantees, rights: Rights::NONE, columns: Vec::new() };
    let Some(named) = &statement.rights else {
        if statement.columns.is_empty() {
            wanted.rights = secured.all();
        } else if secured == SecuredKind::Relation {
            wanted.columns.push((statement.columns.iter().collect(), Rights::COLUMN));
        } else {
            return Err(invalid("column privileges are only valid for relations"));
        }
        return Ok(wanted);
    };
    let mut allowed = secured.all();
    if kind == GrantKind::Table {
        // GRANT ON TABLE takes sequences too.
        allowed = allowed.with(SecuredKind::Sequence.all());
    }
    for each in named {
        let right = Rights::named(&each.word)
            .ok_or_else(|| SqlError::syntax(format!("unrecognized privilege type \"{}\"", each.word)))?;
        if each.columns.is_empty() {
            if !allowed.has(right) {
                return Err(invalid_right(right, word));
            }
            wanted.rights = wanted.rights.with(right);
            continue;
        }
        if secured != SecuredKind::Relation {
            return Err(invalid("column privileges are only valid for relations"));
        }
        if !Rights::COLUMN.has(right) {
            return Err(invalid_right(right, "column"));
        }
        wanted.columns.push((each.columns.iter().collect(), right));
    }
    Ok(wanted)
}

/// Something that rights are on.
enum Target {
    Relation(Relation),
    Schema(Arc<Schema>),
    Database(Database),
    Type(u32, String),
    Function(u32, String),
    Language(u32, &'static str),
}

async fn on_objects(ddl: &mut Ddl, statement: &GrantStatement) -> Result<()> {
    let (kind, targets) = match &statement.on {
        GrantTarget::Objects { kind, names, signatures } => {
            let named = names.iter().zip(signatures);
            let found: Result<Vec<_>> =
                named.map(|(object, signature)| target(ddl, *kind, object, signature.as_deref())).collect();
            (*kind, found?.into_iter().flatten().collect::<Vec<_>>())
        }
        GrantTarget::AllIn { kind: GrantKind::Function, schemas } => {
            (GrantKind::Function, functions_in(ddl, schemas)?)
        }
        GrantTarget::AllIn { kind, schemas } => {
            let found = relations_in(ddl, *kind, schemas)?;
            (*kind, found.into_iter().map(Target::Relation).collect())
        }
        GrantTarget::Future(_) => return Err(SqlError::internal("these objects are not there yet")),
    };
    let wanted = wanted(ddl, statement, kind)?;
    for target in targets {
        match target {
            Target::Relation(found) => on_relation(ddl, &wanted, kind, &found).await?,
            Target::Schema(found) => on_schema(ddl, &wanted, &found).await?,
            Target::Database(found) => on_database(ddl, &wanted, &found).await?,
            Target::Type(oid, base) => on_type(ddl, &wanted, oid, &base).await?,
            Target::Function(oid, base) => {
                let catalog = ddl.catalog.clone();
                let shown = Shown { word: "function", name: &base, column: None };
                let secured = rights::function(&catalog, oid);
                on_builtin(ddl, &wanted, &secured, (PG_PROC, oid), &shown).await?;
            }
            Target::Language(oid, base) => {
                let catalog = ddl.catalog.clone();
                let shown = Shown { word: "language", name: base, column: None };
                let secured = rights::language(&catalog, oid);
                on_builtin(ddl, &wanted, &secured, (PG_LANGUAGE, oid), &shown).await?;
            }
        }
        // The next one sees what this one did, should it be the same.
        ddl.refresh().await?;
    }
    Ok(())
}

/// What a statement names; nothing for what is there from the start and everybody may use.
fn target(
    ddl: &Ddl,
    kind: GrantKind,
    object: &ObjectName,
    signature: Option<&str>,
) -> Result<Option<Target>> {
    let base = name::split(object)?.1;
    Ok(Some(match kind {
        GrantKind::Table | GrantKind::Sequence => Target::Relation(ddl.relation(object)?),
        GrantKind::Schema => {
            let found = ddl.catalog.schema_named(&base).cloned();
            Target::Schema(found.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
            })?)
        }
        GrantKind::Database => Target::Database(ddl.database_named(&base)?),
        GrantKind::Type | GrantKind::Domain => {
            let (oid, is_domain) = match named(ddl, object)? {
                Named::User(own) => (own.oid, own.domain().is_some()),
                Named::Builtin(data_type) => (data_type.oid, false),
                Named::Array(_) => {
                    return Err(invalid("cannot set privileges of array types")
                        .with_hint("Set the privileges of the element type instead."));
                }
                Named::Row(_) => return Ok(None),
            };
            if kind == GrantKind::Domain && !is_domain {
                let message = format!("\"{base}\" is not a domain");
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            Target::Type(oid, base)
        }
        GrantKind::Function => Target::Function(function(ddl, &base, signature)?, base),
        GrantKind::Language => {
            let found = LANGUAGES.iter().find(|(_, name)| *name == base);
            let (oid, name) = found.ok_or_else(|| {
                let message = format!("language \"{base}\" does not exist");
                SqlError::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            if *name != "sql" {
                let message = format!("language \"{name}\" is not trusted");
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).with_detail(
                    "GRANT and REVOKE are not allowed on untrusted languages, because only superusers can use \
                     untrusted languages.",
                ));
            }
            Target::Language(*oid, name)
        }
        GrantKind::Tablespace | GrantKind::Parameter => return Ok(None),
        GrantKind::LargeObject | GrantKind::ForeignDataWrapper | GrantKind::ForeignServer => {
            let (_, word) = secured_kind(kind);
            let message = format!("{word} \"{base}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }))
}

/// The built-in function of a name, and perhaps of arguments.
pub fn function(ddl: &Ddl, base: &str, signature: Option<&str>) -> Result<u32> {
    let undefined = |message: String| SqlError::new(SqlState::UNDEFINED_FUNCTION, message);
    let oid = match signature {
        Some(arguments) => {
            let text = format!("{}({arguments})", name::quote(base));
            let environment = &ddl.execution.environment;
            let shown_type = |each: &str| match type_named(environment, each.trim()) {
                Some(oid) => format_type(DataType::of(oid), environment.as_ref()),
                None => each.trim().to_owned(),
            };
            let shown = || arguments.split(',').map(shown_type).collect::<Vec<_>>().join(", ");
            function_oid(environment, &text)?
                .ok_or_else(|| undefined(format!("function {base}({}) does not exist", shown())))?
        }
        None => match procedures::named(base) {
            [] => return Err(undefined(format!("could not find a function named \"{base}\""))),
            [only] => only.oid,
            _ => {
                let message = format!("function name \"{base}\" is not unique");
                return Err(SqlError::new(SqlState::AMBIGUOUS_FUNCTION, message)
                    .with_hint("Specify the argument list to select the function unambiguously."));
            }
        },
    };
    if oid >= FIRST_USER_OID {
        // Their numbers are not the same in all programs.
        let message =
            format!("rights on function {base}, which PostgreSQL does not have, are not supported yet");
        return Err(SqlError::unsupported(message));
    }
    Ok(oid)
}

/// ALL FUNCTIONS IN SCHEMA: those that are built in are all in one.
fn functions_in(ddl: &Ddl, schemas: &[String]) -> Result<Vec<Target>> {
    let mut found = Vec::new();
    for base in schemas {
        let schema = ddl.catalog.schema_named(base).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
        })?;
        if schema.oid == PG_CATALOG {
            let all = procedures::all().iter().filter(|each| each.oid < FIRST_USER_OID);
            found.extend(all.map(|each| Target::Function(each.oid, each.name.clone())));
        }
    }
    Ok(found)
}

async fn on_builtin(
    ddl: &mut Ddl,
    wanted: &Wanted<'_>,
    secured: &Secured<'_>,
    (class, oid): (u32, u32),
    shown: &Shown<'_>,
) -> Result<()> {
    let mut stored = stored(ddl, class, oid);
    stored.grants = Some(changed(ddl, wanted, secured, wanted.rights, shown)?);
    ddl.put(stored).await
}

/// ALL TABLES and ALL SEQUENCES IN SCHEMA.
fn relations_in(ddl: &Ddl, kind: GrantKind, schemas: &[String]) -> Result<Vec<Relation>> {
    let catalog = &ddl.catalog;
    let mut found = Vec::new();
    for base in schemas {
        let schema = catalog.schema_named(base).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
        })?;
        check_usage(&ddl.actor(), schema)?;
        let oids: Vec<u32> = match kind {
            GrantKind::Sequence => {
                catalog.sequences().filter(|each| each.schema == schema.oid).map(|each| each.oid).collect()
            }
            GrantKind::Table => {
                let tables = catalog.tables().map(|entry| &entry.table);
                let tables = tables.filter(|table| table.schema == schema.oid).map(|table| table.oid);
                let views = catalog.views().filter(|view| view.schema == schema.oid).map(|view| view.oid);
                tables.chain(views).collect()
            }
            _ => Vec::new(),
        };
        found.extend(oids.into_iter().filter_map(|oid| stored_relation(catalog, oid)));
    }
    Ok(found)
}

/// What warnings and errors call an object.
struct Shown<'a> {
    word: &'a str,
    name: &'a str,
    /// The column of it that it is about.
    column: Option<&'a str>,
}

/// As whom rights are granted, and which of them may be.
fn allowed(
    ddl: &mut Ddl,
    wanted: &Wanted<'_>,
    secured: &Secured<'_>,
    rights: Rights,
    shown: &Shown<'_>,
) -> Result<(u32, Rights)> {
    let actor = ddl.actor();
    let (grantor, options) = best_grantor(&actor, secured.owner, &secured.grants, rights);
    if options.is_empty() {
        // Whoever has any right on the object is only warned.
        let all = secured.kind.all();
        let as_grantor = actor.who.instead(grantor).among(actor.catalog);
        let has_any =
            !as_grantor.rights(secured, all).is_empty() || !as_grantor.grantable(secured, all).is_empty();
        if !has_any {
            return Err(match shown.column {
                Some(column) => refused(format!(
                    "permission denied for column \"{column}\" of relation \"{}\"",
                    shown.name
                )),
                None => denied(shown.word, shown.name),
            });
        }
    }
    let found = rights.common(options);
    let (verb, state) = match wanted.statement.is_grant {
        true => ("were granted", SqlState::PRIVILEGE_NOT_GRANTED),
        false => ("could be revoked", SqlState::PRIVILEGE_NOT_REVOKED),
    };
    let on = match shown.column {
        Some(column) => format!("column \"{column}\" of relation \"{}\"", shown.name),
        None => format!("\"{}\"", shown.name),
    };
    let warning = if found.is_empty() {
        Some(format!("no privileges {verb} for {on}"))
    } else if !wanted.is_all() && found != rights {
        Some(format!("not all privileges {verb} for {on}"))
    } else {
        None
    };
    if let Some(warning) = warning {
        ddl.notices.push(SqlError::new(state, warning));
    }
    Ok((grantor, found))
}

/// A whole object's list after the statement.
fn changed(
    ddl: &mut Ddl,
    wanted: &Wanted<'_>,
    secured: &Secured<'_>,
    rights: Rights,
    shown: &Shown<'_>,
) -> Result<Vec<Grant>> {
    let (grantor, found) = allowed(ddl, wanted, secured, rights, shown)?;
    merge(&ddl.actor(), secured.owner, &secured.grants, &wanted.change(grantor, found))
}

/// What is stored of an object's rights so far.
pub fn stored(ddl: &Ddl, class: u32, oid: u32) -> ObjectRights {
    ddl.catalog.rights_on(oid).map_or_else(|| ObjectRights::new(class, oid), |rights| (**rights).clone())
}

async fn on_relation(ddl: &mut Ddl, wanted: &Wanted<'_>, kind: GrantKind, found: &Relation) -> Result<()> {
    let base = found.name().to_string();
    let wrong = |what: &str| SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{base}\" is {what}"));
    if matches!(found, Relation::Index(_)) {
        return Err(wrong("an index"));
    }
    let is_sequence = matches!(found, Relation::Sequence(_));
    if kind == GrantKind::Sequence && !is_sequence {
        return Err(wrong("not a sequence"));
    }
    let catalog = ddl.catalog.clone();
    let Some(secured) = relation(&catalog, found.oid()) else { return Ok(()) };
    let mut rights = wanted.rights;
    if wanted.is_all() && wanted.columns.is_empty() {
        rights = secured.kind.all();
    } else if is_sequence {
        if !secured.kind.all().has(rights) {
            let message = format!("sequence \"{base}\" only supports USAGE, SELECT, and UPDATE privileges");
            ddl.warnings.push(invalid(message));
            rights = rights.common(secured.kind.all());
        }
    } else if rights.has(Rights::USAGE) {
        return Err(invalid_right(Rights::USAGE, "table"));
    }
    let mut stored = stored(ddl, PG_CLASS, found.oid());
    let by_column = columns(found, wanted, rights)?;
    if !rights.is_empty() {
        let word = if is_sequence { "sequence" } else { "table" };
        let shown = Shown { word, name: &base, column: None };
        stored.grants = Some(changed(ddl, wanted, &secured, rights, &shown)?);
    }
    for (number, column, rights) in by_column {
        let own = stored.column(number).unwrap_or_default().to_vec();
        on_column(ddl, wanted, &secured, &mut stored, (number, &column, &base), own, rights)?;
    }
    ddl.put(stored).await
}

/// The columns that a statement is about, with the rights on each. What is revoked from the whole is revoked from
/// all columns.
fn columns(
    found: &Relation,
    wanted: &Wanted<'_>,
    rights: Rights,
) -> Result<Vec<(ColumnNumber, String, Rights)>> {
    let all: Vec<(ColumnNumber, String)> = match found {
        Relation::Stored(entry) => {
            entry.table.live_columns().map(|column| (column.number, column.name.clone())).collect()
        }
        Relation::View(view) => (1..).zip(view.columns.iter().map(|column| column.name.clone())).collect(),
        Relation::Virtual(computed) => {
            (1..).zip(computed.columns.iter().map(|(column, _)| (*column).to_string())).collect()
        }
        Relation::Sequence(_) | Relation::Index(_) => Vec::new(),
    };
    let mut by_column: Vec<(ColumnNumber, String, Rights)> = Vec::new();
    let mut add = |number: ColumnNumber, column: &str, rights: Rights| match by_column
        .iter_mut()
        .find(|(each, ..)| *each == number)
    {
        Some((.., known)) => *known = known.with(rights),
        None => by_column.push((number, column.to_string(), rights)),
    };
    let of_columns = rights.common(Rights::COLUMN);
    if !wanted.statement.is_grant && !of_columns.is_empty() {
        if let Relation::Stored(_) = found {
            SYSTEM_COLUMNS.iter().for_each(|(number, column)| add(*number, column, of_columns));
        }
        all.iter().for_each(|(number, column)| add(*number, column, of_columns));
    }
    for (names, rights) in &wanted.columns {
        for identifier in names {
            let base = name::fold(identifier);
            let known = all.iter().find(|(_, column)| *column == base);
            let (number, column) = known.ok_or_else(|| {
                SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{base}\" of relation \"{}\" does not exist", found.name()),
                )
            })?;
            add(*number, column, *rights);
        }
    }
    by_column.sort_by_key(|(number, ..)| *number);
    Ok(by_column)
}

fn on_column(
    ddl: &mut Ddl,
    wanted: &Wanted<'_>,
    whole: &Secured<'_>,
    stored: &mut ObjectRights,
    (number, column, base): (ColumnNumber, &str, &str),
    own: Vec<Grant>,
    rights: Rights,
) -> Result<()> {
    // Options on the whole count for its columns.
    let both: Vec<Grant> = whole.grants.iter().chain(&own).copied().collect();
    let secured =
        Secured { kind: SecuredKind::Column, owner: whole.owner, grants: both.into(), is_system: false };
    let shown = Shown { word: "table", name: base, column: Some(column) };
    let (grantor, found) = allowed(ddl, wanted, &secured, rights, &shown)?;
    let changed = merge(&ddl.actor(), whole.owner, &own, &wanted.change(grantor, found))?;
    stored.set_column(number, changed);
    Ok(())
}

async fn on_schema(ddl: &mut Ddl, wanted: &Wanted<'_>, found: &Schema) -> Result<()> {
    let catalog = ddl.catalog.clone();
    let Some(secured) = schema(&catalog, found.oid) else { return Ok(()) };
    let mut stored = stored(ddl, PG_NAMESPACE, found.oid);
    let shown = Shown { word: "schema", name: &found.name, column: None };
    stored.grants = Some(changed(ddl, wanted, &secured, wanted.rights, &shown)?);
    ddl.put(stored).await
}

async fn on_database(ddl: &mut Ddl, wanted: &Wanted<'_>, found: &Database) -> Result<()> {
    let catalog = ddl.catalog.clone();
    let secured = rights::database(&catalog, found.oid, found.owner);
    let mut stored = stored(ddl, PG_DATABASE, found.oid);
    let shown = Shown { word: "database", name: &found.name, column: None };
    stored.grants = Some(changed(ddl, wanted, &secured, wanted.rights, &shown)?);
    ddl.put(stored).await
}

async fn on_type(ddl: &mut Ddl, wanted: &Wanted<'_>, oid: u32, base: &str) -> Result<()> {
    let catalog = ddl.catalog.clone();
    let Some(secured) = object_type(&catalog, oid) else { return Ok(()) };
    let mut stored = stored(ddl, PG_TYPE, oid);
    let shown = Shown { word: "type", name: base, column: None };
    stored.grants = Some(changed(ddl, wanted, &secured, wanted.rights, &shown)?);
    ddl.put(stored).await
}
