//! Roles: who may connect, and who is a member of whom.
//!
//! The roles that every database has ([`builtin_roles`]) are no rows until they are changed.

use std::sync::{Arc, LazyLock};

use super::SUPERUSER;
use super::codec::{Reader, Writer};
use crate::error::Result;

/// What a role is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleAttributes {
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
}

/// What CREATE ROLE makes where it is told nothing.
impl Default for RoleAttributes {
    fn default() -> RoleAttributes {
        RoleAttributes {
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_row_security: false,
        }
    }
}

/// That a role is a member of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The role that it is a member of.
    pub role: u32,
    pub grantor: u32,
    /// It may make others members.
    pub admin: bool,
}

/// A role.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub oid: u32,
    pub name: String,
    pub attributes: RoleAttributes,
    /// -1: no limit.
    pub connection_limit: i32,
    /// What the password is checked with, never the password itself.
    pub verifier: Option<String>,
    /// The password is no good from then on: microseconds since 2000-01-01 UTC.
    pub valid_until: Option<i64>,
    /// What sessions of the role begin with: ALTER ROLE … SET.
    pub settings: Vec<(String, String)>,
    pub memberships: Vec<Membership>,
}

impl Role {
    /// A role without a password that is a member of none.
    #[must_use]
    pub fn new(oid: u32, name: &str, attributes: RoleAttributes) -> Role {
        Role {
            oid,
            name: name.to_string(),
            attributes,
            connection_limit: -1,
            verifier: None,
            valid_until: None,
            settings: Vec::new(),
            memberships: Vec::new(),
        }
    }

    /// A role that may do everything, without a password.
    #[must_use]
    pub fn superuser(oid: u32, name: &str) -> Role {
        let attributes = RoleAttributes {
            superuser: true,
            inherit: true,
            create_role: true,
            create_database: true,
            login: true,
            replication: true,
            bypass_row_security: true,
        };
        Role::new(oid, name, attributes)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.text(&self.name);
        let attributes = &self.attributes;
        writer.bool(attributes.superuser);
        writer.bool(attributes.inherit);
        writer.bool(attributes.create_role);
        writer.bool(attributes.create_database);
        writer.bool(attributes.login);
        writer.bool(attributes.replication);
        writer.bool(attributes.bypass_row_security);
        writer.u32(self.connection_limit.cast_unsigned());
        writer.optional(self.verifier.as_deref());
        writer.bool(self.valid_until.is_some());
        if let Some(moment) = self.valid_until {
            writer.i64(moment);
        }
        writer.pairs(&self.settings);
        writer.list(&self.memberships, |writer, membership| {
            writer.u32(membership.role);
            writer.u32(membership.grantor);
            writer.bool(membership.admin);
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Role> {
        Ok(Role {
            oid: reader.u32()?,
            name: reader.text()?,
            attributes: RoleAttributes {
                superuser: reader.bool()?,
                inherit: reader.bool()?,
                create_role: reader.bool()?,
                create_database: reader.bool()?,
                login: reader.bool()?,
                replication: reader.bool()?,
                bypass_row_security: reader.bool()?,
            },
            connection_limit: reader.u32()?.cast_signed(),
            verifier: reader.optional()?,
            valid_until: if reader.bool()? { Some(reader.i64()?) } else { None },
            settings: reader.pairs()?,
            memberships: reader.list(|reader| {
                Ok(Membership { role: reader.u32()?, grantor: reader.u32()?, admin: reader.bool()? })
            })?,
        })
    }
}

/// The role that has its members' rights on the database it owns; nobody can be made a member of it.
pub const DATABASE_OWNER: u32 = 6171;
const MONITOR: u32 = 3373;
/// The predefined role that sees all settings.
pub const READ_ALL_SETTINGS: u32 = 3374;
const READ_ALL_STATS: u32 = 3375;
/// The predefined roles for COPY with files.
pub const READ_SERVER_FILES: u32 = 4569;
pub const WRITE_SERVER_FILES: u32 = 4570;
const STAT_SCAN_TABLES: u32 = 3377;

/// PostgreSQL's own roles beside the superuser.
const PREDEFINED: [(u32, &str); 12] = [
    (MONITOR, "pg_monitor"),
    (READ_ALL_SETTINGS, "pg_read_all_settings"),
    (READ_ALL_STATS, "pg_read_all_stats"),
    (STAT_SCAN_TABLES, "pg_stat_scan_tables"),
    (4200, "pg_signal_backend"),
    (4544, "pg_checkpoint"),
    (READ_SERVER_FILES, "pg_read_server_files"),
    (WRITE_SERVER_FILES, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (DATABASE_OWNER, "pg_database_owner"),
    (6181, "pg_read_all_data"),
    (6182, "pg_write_all_data"),
];

static BUILTIN: LazyLock<Vec<Arc<Role>>> = LazyLock::new(|| {
    let mut roles = vec![Role::superuser(SUPERUSER, "postgres")];
    roles.extend(PREDEFINED.iter().map(|(oid, name)| Role::new(*oid, name, RoleAttributes::default())));
    for role in roles.iter_mut().filter(|role| role.oid == MONITOR) {
        let groups = [READ_ALL_SETTINGS, READ_ALL_STATS, STAT_SCAN_TABLES];
        role.memberships =
            groups.map(|group| Membership { role: group, grantor: SUPERUSER, admin: false }).to_vec();
    }
    roles.into_iter().map(Arc::new).collect()
});

/// The roles that every database has.
#[must_use]
pub fn builtin_roles() -> &'static [Arc<Role>] {
    &BUILTIN
}

/// Whether a role cannot be dropped.
#[must_use]
pub fn is_builtin_role(oid: u32) -> bool {
    BUILTIN.iter().any(|role| role.oid == oid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::codec;

    /// A role is read as it was written, and what is cut off anywhere is damage.
    #[test]
    fn roles_are_read_as_they_are_written() {
        let role = Role {
            connection_limit: 7,
            verifier: Some("SCRAM-SHA-256$…".into()),
            valid_until: Some(-5),
            settings: vec![("work_mem".into(), "8MB".into())],
            memberships: vec![Membership { role: 3, grantor: SUPERUSER, admin: true }],
            ..Role::new(20_000, "grün", RoleAttributes { login: true, ..RoleAttributes::default() })
        };
        let object = role.into();
        let stored = codec::encode(&object);
        assert_eq!(codec::decode(9, &stored).expect("whole"), Some(object));
        for end in 0..stored.len() {
            assert!(codec::decode(9, &stored[..end]).is_err(), "{end}");
        }
    }
}
