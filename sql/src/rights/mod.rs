//! Rights: who may do what.
//!
//! An [`Actor`] is a role with all those whose rights it has; it is asked what it may do with an object, which is
//! [`Secured`] by an owner and a list of grants. What a statement needs of relations is gathered while it is bound
//! ([`RelationUse`]) and asked for when it is executed. How lists change is in `list`, how they are written in `text`.

mod conceal;
mod list;
mod memory;
mod secured;
mod text;
mod used;

use std::cell::OnceCell;
use std::collections::BTreeSet;

pub use conceal::conceal;
pub use list::{Behavior, Change, best_grantor, change_owner, merge};
pub use memory::Permitted;
pub use secured::{
    Secured, computed_grants, database, function, initial_function_grants, is_function_restricted, language,
    object_type, relation, schema,
};
pub use text::{grant_text, grants_datum, parse_grant};
pub use used::{RelationUse, check_populated, check_uses};

use crate::catalog::{CatalogSnapshot, DATABASE_OWNER, EVERYBODY, Grant, Rights};
use crate::error::{SqlError, SqlState};

/// The predefined roles that may read and write all data.
const READ_ALL_DATA: u32 = 6181;
const WRITE_ALL_DATA: u32 = 6182;

/// Who runs a statement, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// 0: a role that is no more.
    pub role: u32,
    pub database: u32,
    pub database_owner: u32,
}

impl Who {
    /// The same as another role.
    #[must_use]
    pub fn instead(self, role: u32) -> Who {
        Who { role, ..self }
    }

    /// What it may do.
    #[must_use]
    pub fn among(self, catalog: &CatalogSnapshot) -> Actor<'_> {
        Actor { catalog, who: self, groups: OnceCell::new() }
    }
}

/// A role among all others.
pub struct Actor<'c> {
    pub catalog: &'c CatalogSnapshot,
    pub who: Who,
    groups: OnceCell<BTreeSet<u32>>,
}

impl<'c> Actor<'c> {
    /// Whether it may do everything.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.catalog.role(self.who.role).is_some_and(|role| role.attributes.superuser)
    }

    /// It, and the roles whose rights it has without becoming them.
    #[must_use]
    pub fn groups(&self) -> &BTreeSet<u32> {
        self.groups.get_or_init(|| {
            let mut groups = self.catalog.groups_of(self.who.role, true);
            if groups.contains(&self.who.database_owner) {
                groups.extend(self.catalog.groups_of(DATABASE_OWNER, true));
            }
            groups
        })
    }

    /// Whether it has the rights of a role.
    #[must_use]
    pub fn has_role(&self, role: u32) -> bool {
        // What nobody owns is nobody's.
        self.is_superuser() || (role != 0 && self.groups().contains(&role))
    }

    /// Whether it may become a role: it is a superuser, or a member of it.
    #[must_use]
    pub fn is_member(&self, role: u32) -> bool {
        self.is_superuser()
            || self.catalog.is_member(self.who.role, role)
            || (role == DATABASE_OWNER && self.catalog.is_member(self.who.role, self.who.database_owner))
    }

    /// Those of some rights that a list gives it.
    #[must_use]
    pub fn given(&self, grants: &[Grant], wanted: Rights) -> Rights {
        let of = |direct: bool| {
            let mine = grants.iter().filter(move |grant| {
                (grant.grantee == EVERYBODY || grant.grantee == self.who.role) == direct
                    && (direct || self.groups().contains(&grant.grantee))
            });
            mine.fold(Rights::NONE, |all, grant| all.with(grant.rights))
        };
        let direct = of(true);
        if direct.has(wanted) {
            return wanted;
        }
        direct.with(of(false)).common(wanted)
    }

    /// Those of some rights that it may give others.
    #[must_use]
    pub fn grantable(&self, secured: &Secured<'_>, wanted: Rights) -> Rights {
        if self.is_superuser() || self.has_role(secured.owner) {
            return wanted;
        }
        let mine = secured.grants.iter().filter(|grant| self.groups().contains(&grant.grantee));
        mine.fold(Rights::NONE, |all, grant| all.with(grant.options)).common(wanted)
    }

    /// Those of some rights that it has on an object.
    #[must_use]
    pub fn rights(&self, secured: &Secured<'_>, wanted: Rights) -> Rights {
        if self.is_superuser() {
            return wanted;
        }
        let mut wanted = wanted;
        if secured.is_system {
            const CHANGES: Rights =
                Rights::INSERT.with(Rights::UPDATE).with(Rights::DELETE).with(Rights::TRUNCATE);
            wanted = wanted.without(CHANGES);
        }
        let mut found = self.given(&secured.grants, wanted);
        if !found.has(wanted) {
            found = found.with(self.of_predefined(secured).common(wanted));
        }
        found
    }

    /// What the roles that may read or write everything may do with an object.
    fn of_predefined(&self, secured: &Secured<'_>) -> Rights {
        use crate::catalog::SecuredKind as Kind;
        let (reads, writes) = match secured.kind {
            Kind::Relation | Kind::Sequence => {
                (Rights::SELECT, Rights::INSERT.with(Rights::UPDATE).with(Rights::DELETE))
            }
            Kind::Schema => (Rights::USAGE, Rights::USAGE),
            _ => return Rights::NONE,
        };
        let with = |role, rights| if self.groups().contains(&role) { rights } else { Rights::NONE };
        with(READ_ALL_DATA, reads).with(with(WRITE_ALL_DATA, writes))
    }

    /// Those of some rights that it has on a column by itself.
    #[must_use]
    pub fn column_rights(&self, relation: u32, column: i16, wanted: Rights) -> Rights {
        match self.catalog.rights_on(relation).and_then(|rights| rights.column(column)) {
            Some(grants) => self.given(grants, wanted),
            None => Rights::NONE,
        }
    }

    /// Whether it has all of some rights on a schema; one of temporary objects is its session's.
    #[must_use]
    pub fn may_in_schema(&self, schema: u32, wanted: Rights) -> bool {
        let Some(found) = self.catalog.schema(schema) else { return false };
        if found.name.starts_with(crate::ddl::TEMPORARY_PREFIX) {
            return wanted == Rights::USAGE || self.may_on_database(Rights::TEMPORARY);
        }
        self::schema(self.catalog, schema).is_some_and(|secured| self.rights(&secured, wanted).has(wanted))
    }

    /// Whether it has all of some rights on the database it is in.
    #[must_use]
    pub fn may_on_database(&self, wanted: Rights) -> bool {
        let secured = database(self.catalog, self.who.database, self.who.database_owner);
        self.rights(&secured, wanted).has(wanted)
    }
}

/// 42501 for a right that is missing.
#[must_use]
pub fn denied(word: &str, name: &str) -> SqlError {
    refused(format!("permission denied for {word} {name}"))
}

/// 42501 for who is not the owner.
#[must_use]
pub fn must_own(word: &str, name: &str) -> SqlError {
    refused(format!("must be owner of {word} {name}"))
}

/// 42501.
#[must_use]
pub fn refused(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}
