//! How lists of grants change, as PostgreSQL changes them.
//!
//! A grant stands for one pair of grantor and grantee. Whoever loses the option to grant loses what was granted with
//! it (CASCADE), or keeps it as long as there is such a grant (RESTRICT). The owner has all options, always.

use crate::catalog::{EVERYBODY, Grant, Rights};
use crate::error::{Result, SqlError, SqlState};

use super::{Actor, Who};

/// What becomes of grants that depend on one that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Restrict,
    Cascade,
}

/// A GRANT or REVOKE, on a list.
pub struct Change<'a> {
    pub is_grant: bool,
    /// WITH GRANT OPTION, or only the option.
    pub option: bool,
    pub behavior: Behavior,
    pub grantees: &'a [u32],
    pub rights: Rights,
    pub grantor: u32,
}

/// What changes a list: whose it is, and who knows which role has which rights.
struct Editor<'a, 'c> {
    actor: &'a Actor<'c>,
    owner: u32,
}

/// A list after a GRANT or REVOKE.
///
/// # Errors
/// 0LP01 for options for everybody or in a circle, 2BP01 where other grants depend on one.
pub fn merge(actor: &Actor<'_>, owner: u32, grants: &[Grant], change: &Change<'_>) -> Result<Vec<Grant>> {
    let editor = Editor { actor, owner };
    let mut grants = grants.to_vec();
    for grantee in change.grantees {
        if change.is_grant && change.option && *grantee == EVERYBODY {
            return Err(invalid("grant options can only be granted to roles"));
        }
        let part = |is_in: bool| if is_in { change.rights } else { Rights::NONE };
        let grant = Grant {
            grantee: *grantee,
            grantor: change.grantor,
            rights: part(change.is_grant || !change.option),
            options: part(!change.is_grant || change.option),
        };
        editor.update(&mut grants, grant, change.is_grant, change.behavior)?;
    }
    Ok(grants)
}

fn invalid(message: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_GRANT_OPERATION, message)
}

impl Editor<'_, '_> {
    fn update(&self, grants: &mut Vec<Grant>, by: Grant, adds: bool, behavior: Behavior) -> Result<()> {
        if adds && !by.options.is_empty() {
            self.refuse_circle(grants, by)?;
        }
        let place = grants.iter().position(|each| each.grantee == by.grantee && each.grantor == by.grantor);
        let old = place.map_or(Grant { rights: Rights::NONE, options: Rights::NONE, ..by }, |at| grants[at]);
        let new = match adds {
            true => {
                Grant { rights: old.rights.with(by.rights), options: old.options.with(by.options), ..old }
            }
            false => Grant {
                rights: old.rights.without(by.rights),
                options: old.options.without(by.options),
                ..old
            },
        };
        match (place, new.rights.with(new.options).is_empty()) {
            (Some(at), true) => {
                grants.remove(at);
            }
            (Some(at), false) => grants[at] = new,
            (None, false) => grants.push(new),
            (None, true) => {}
        }
        let lost = old.options.without(new.options);
        if lost.is_empty() { Ok(()) } else { self.revoke_dependent(grants, by.grantee, lost, behavior) }
    }

    /// Takes away what a role gave with options that it has no more.
    fn revoke_dependent(
        &self,
        grants: &mut Vec<Grant>,
        grantor: u32,
        lost: Rights,
        behavior: Behavior,
    ) -> Result<()> {
        if grantor == self.owner {
            return Ok(());
        }
        let lost = lost.without(self.options_of(grants, grantor).common(lost));
        while let Some(dependent) = grants
            .iter()
            .find(|each| each.grantor == grantor && !each.rights.with(each.options).common(lost).is_empty())
        {
            if behavior == Behavior::Restrict {
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    "dependent privileges exist",
                )
                .with_hint("Use CASCADE to revoke them too."));
            }
            let gone = Grant { rights: lost, options: lost, ..*dependent };
            self.update(grants, gone, false, behavior)?;
        }
        Ok(())
    }

    /// The options that a role has by a list.
    fn options_of(&self, grants: &[Grant], role: u32) -> Rights {
        let as_role = self.actor.who.instead(role).among(self.actor.catalog);
        if as_role.groups().contains(&self.owner) || as_role.is_superuser() {
            return Rights(u16::MAX);
        }
        let mine = grants.iter().filter(|grant| as_role.groups().contains(&grant.grantee));
        mine.fold(Rights::NONE, |all, grant| all.with(grant.options))
    }

    /// 0LP01 for an option that its grantor has from the grantee alone.
    fn refuse_circle(&self, grants: &[Grant], by: Grant) -> Result<()> {
        if by.grantor == self.owner {
            return Ok(());
        }
        let mut without = grants.to_vec();
        while let Some(own) =
            without.iter().find(|each| each.grantee == by.grantee && !each.options.is_empty()).copied()
        {
            self.update(&mut without, own, false, Behavior::Cascade)?;
        }
        if self.options_of(&without, by.grantor).has(by.options) {
            return Ok(());
        }
        Err(invalid("grant options cannot be granted back to your own grantor"))
    }
}

/// As which role somebody grants some rights best, and which of them that role may grant.
#[must_use]
pub fn best_grantor(actor: &Actor<'_>, owner: u32, grants: &[Grant], rights: Rights) -> (u32, Rights) {
    if actor.is_superuser() || actor.has_role(owner) {
        return (owner, rights);
    }
    let options_of = |role: u32| {
        let own = grants.iter().filter(|grant| grant.grantee == role);
        own.fold(Rights::NONE, |all, grant| all.with(grant.options)).common(rights)
    };
    let mut best = (actor.who.role, Rights::NONE);
    let own = std::iter::once(actor.who.role);
    for role in own.chain(actor.groups().iter().copied()) {
        let options = options_of(role);
        if options == rights {
            return (role, options);
        }
        if options.0.count_ones() > best.1.0.count_ones() {
            best = (role, options);
        }
    }
    best
}

/// A list when its object goes to another owner: what the old one had and gave, the new one has and gave.
#[must_use]
pub fn change_owner(grants: &[Grant], old: u32, new: u32) -> Vec<Grant> {
    let moved = |role: u32| if role == old { new } else { role };
    let mut changed: Vec<Grant> = Vec::new();
    for grant in grants {
        let grant = Grant { grantee: moved(grant.grantee), grantor: moved(grant.grantor), ..*grant };
        let same =
            changed.iter_mut().find(|each| each.grantee == grant.grantee && each.grantor == grant.grantor);
        match same {
            Some(same) => {
                same.rights = same.rights.with(grant.rights);
                same.options = same.options.with(grant.options);
            }
            None => changed.push(grant),
        }
    }
    changed
}

impl Who {
    /// The role that nobody asks for rights.
    #[must_use]
    pub fn superuser() -> Who {
        Who { role: crate::catalog::SUPERUSER, ..Who::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogSnapshot, SUPERUSER, SecuredKind, default_grants};

    const OWNER: u32 = 100;

    fn change(is_grant: bool, option: bool, grantor: u32, grantee: u32) -> (bool, bool, u32, [u32; 1]) {
        (is_grant, option, grantor, [grantee])
    }

    fn apply(grants: &[Grant], how: (bool, bool, u32, [u32; 1]), behavior: Behavior) -> Result<Vec<Grant>> {
        let catalog = CatalogSnapshot::default();
        let actor = Who::superuser().among(&catalog);
        let (is_grant, option, grantor, grantees) = how;
        let rights = Rights::SELECT;
        merge(
            &actor,
            OWNER,
            grants,
            &Change { is_grant, option, behavior, grantees: &grantees, rights, grantor },
        )
    }

    /// A chain of grants goes with its first, or keeps it.
    #[test]
    fn what_depends_on_an_option_goes_with_it() {
        let start = default_grants(SecuredKind::Relation, OWNER);
        let one = apply(&start, change(true, true, OWNER, 1), Behavior::Restrict).expect("granted");
        let two = apply(&one, change(true, true, 1, 2), Behavior::Restrict).expect("granted");
        let three = apply(&two, change(true, false, 2, 3), Behavior::Restrict).expect("granted");
        assert_eq!(three.len(), 4);
        let revoke = change(false, true, OWNER, 1);
        let error = apply(&three, revoke, Behavior::Restrict).expect_err("others depend on it");
        assert_eq!(error.message(), "dependent privileges exist");
        let left = apply(&three, revoke, Behavior::Cascade).expect("revoked");
        assert_eq!(left.iter().map(|grant| grant.grantee).collect::<Vec<_>>(), [OWNER, 1]);
        let error = apply(&two, change(true, true, 2, 1), Behavior::Restrict).expect_err("a circle");
        assert_eq!(error.message(), "grant options cannot be granted back to your own grantor");
        let error = apply(&two, change(true, true, OWNER, EVERYBODY), Behavior::Restrict);
        assert_eq!(error.expect_err("everybody").message(), "grant options can only be granted to roles");
    }

    #[test]
    fn a_new_owner_takes_over_what_the_old_one_gave() {
        let start = default_grants(SecuredKind::Database, OWNER);
        let moved = change_owner(&start, OWNER, SUPERUSER);
        assert_eq!(moved, default_grants(SecuredKind::Database, SUPERUSER));
    }
}
