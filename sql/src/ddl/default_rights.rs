//! ALTER DEFAULT PRIVILEGES, and the lists that new objects begin with.

use super::grant::{Wanted, wanted};
use super::{Ddl, role};
use crate::catalog::{DefaultRights, Grant, ObjectRights, Role, SecuredKind, default_grants};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{GrantKind, GrantStatement, GrantTarget, RoleName};
use crate::rights::{Behavior, Change, Who, merge};

/// The letter of a kind in `pg_default_acl`, and what rights objects of it have.
fn letter_of(kind: GrantKind) -> (u8, SecuredKind) {
    match kind {
        GrantKind::Sequence => (b'S', SecuredKind::Sequence),
        GrantKind::Function => (b'f', SecuredKind::Function),
        GrantKind::Type => (b'T', SecuredKind::Type),
        GrantKind::Schema => (b'n', SecuredKind::Schema),
        _ => (b'r', SecuredKind::Relation),
    }
}

/// The kind of the rights of a letter in `pg_default_acl`.
fn secured_kind(letter: u8) -> SecuredKind {
    match letter {
        b'S' => SecuredKind::Sequence,
        b'f' => SecuredKind::Function,
        b'T' => SecuredKind::Type,
        b'n' => SecuredKind::Schema,
        _ => SecuredKind::Relation,
    }
}

/// What descriptions call objects of a letter.
#[must_use]
pub fn plural(letter: u8) -> &'static str {
    match letter {
        b'S' => "sequences",
        b'f' => "functions",
        b'T' => "types",
        b'n' => "schemas",
        _ => "relations",
    }
}

pub async fn alter(
    ddl: &mut Ddl,
    roles: &[RoleName],
    schemas: &[String],
    statement: &GrantStatement,
) -> Result<()> {
    let GrantTarget::Future(kind) = statement.on else {
        return Err(SqlError::internal("default rights are for kinds of objects"));
    };
    let mut wanted = wanted(ddl, statement, kind)?;
    let (letter, secured) = letter_of(kind);
    if let Some(right) = wanted.rights.without(secured.all()).each().next() {
        let message = format!("invalid privilege type {} for relation", right.name());
        return Err(SqlError::new(SqlState::INVALID_GRANT_OPERATION, message));
    }
    wanted.rights = wanted.rights.common(secured.all());
    if letter == b'n' && !schemas.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_GRANT_OPERATION,
            "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS",
        ));
    }
    let own = [RoleName::CurrentUser];
    for name in if roles.is_empty() { &own } else { roles } {
        let role = role::find(ddl, name)?;
        role::check_is_member(ddl, &role)?;
        if schemas.is_empty() {
            set(ddl, &role, 0, letter, &wanted).await?;
        }
        for base in schemas {
            let schema = ddl.catalog.schema_named(base).map(|schema| schema.oid).ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{base}\" does not exist"))
            })?;
            set(ddl, &role, schema, letter, &wanted).await?;
        }
        ddl.refresh().await?;
    }
    Ok(())
}

async fn set(ddl: &mut Ddl, role: &Role, schema: u32, letter: u8, wanted: &Wanted<'_>) -> Result<()> {
    // What is said of a schema comes on top of what holds everywhere.
    let start = if schema == 0 { default_grants(secured_kind(letter), role.oid) } else { Vec::new() };
    let known = find(ddl, role.oid, schema, letter);
    let old = known.as_ref().map_or(&start, |known| &known.grants);
    let as_superuser = Who::superuser().among(&ddl.catalog);
    let changed = sorted(merge(&as_superuser, role.oid, old, &wanted.change(role.oid, wanted.rights))?);
    let says_nothing = changed == sorted(start.clone());
    match known {
        Some(known) if says_nothing => ddl.remove(known).await,
        Some(known) => ddl.put(DefaultRights { grants: changed, ..known }).await,
        None if says_nothing => Ok(()),
        None => {
            let oid = ddl.oid().await?;
            ddl.put(DefaultRights { oid, role: role.oid, schema, kind: letter, grants: changed }).await
        }
    }
}

fn find(ddl: &Ddl, role: u32, schema: u32, kind: u8) -> Option<DefaultRights> {
    let mut all = ddl.catalog.default_rights();
    let found = all.find(|each| each.role == role && each.schema == schema && each.kind == kind);
    found.map(|found| (**found).clone())
}

/// Lists that say the same are the same then.
fn sorted(mut grants: Vec<Grant>) -> Vec<Grant> {
    grants.sort_by_key(|grant| (grant.grantee, grant.grantor, grant.rights, grant.options));
    grants
}

/// The list that a new object of an owner begins with; `None`: the default.
fn initial(ddl: &Ddl, owner: u32, schema: u32, letter: u8) -> Result<Option<Vec<Grant>>> {
    let everywhere = find(ddl, owner, 0, letter);
    let here = find(ddl, owner, schema, letter).filter(|_| schema != 0);
    if everywhere.is_none() && here.is_none() {
        return Ok(None);
    }
    let start = default_grants(secured_kind(letter), owner);
    let mut grants = everywhere.map_or_else(|| start.clone(), |found| found.grants);
    let as_superuser = Who::superuser().among(&ddl.catalog);
    for grant in here.into_iter().flat_map(|found| found.grants) {
        for (rights, option) in [(grant.rights.without(grant.options), false), (grant.options, true)] {
            if rights.is_empty() {
                continue;
            }
            let change = Change {
                is_grant: true,
                option,
                behavior: Behavior::Restrict,
                grantees: &[grant.grantee],
                rights,
                grantor: grant.grantor,
            };
            grants = merge(&as_superuser, owner, &grants, &change)?;
        }
    }
    let grants = sorted(grants);
    Ok(Some(grants).filter(|grants| *grants != sorted(start)))
}

impl Ddl {
    /// Gives a new object the rights that its owner said new ones begin with.
    pub async fn begin_rights(
        &mut self,
        letter: u8,
        class: u32,
        oid: u32,
        schema: u32,
        owner: u32,
    ) -> Result<()> {
        if self.catalog.default_rights().next().is_none() {
            return Ok(());
        }
        match initial(self, owner, schema, letter)? {
            Some(grants) => {
                self.put(ObjectRights { grants: Some(grants), ..ObjectRights::new(class, oid) }).await
            }
            None => Ok(()),
        }
    }
}
