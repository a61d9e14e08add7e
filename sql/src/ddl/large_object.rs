//! ALTER LARGE OBJECT … OWNER TO, and who owns large objects.

use super::{Ddl, role};
use crate::error::Result;
use crate::large_object::{View, change_owner, owner_of};
use crate::parser::RoleName;
use crate::rights::must_own;

/// 42501 for who does not own a large object.
///
/// # Errors
/// That; 42704 for one that does not exist.
pub async fn check_owns(ddl: &mut Ddl, oid: u32) -> Result<u32> {
    let owner = owner_of(oid, View::Latest, &mut ddl.execution).await?;
    if ddl.actor().has_role(owner) { Ok(owner) } else { Err(must_own("large object", &oid.to_string())) }
}

/// Gives a large object away.
///
/// # Errors
/// 42704, 42501.
pub async fn set_owner(ddl: &mut Ddl, oid: u32, owner: &RoleName) -> Result<()> {
    let new = role::find(ddl, owner)?;
    let old = check_owns(ddl, oid).await?;
    if old == new.oid {
        return Ok(());
    }
    if !ddl.actor().is_superuser() {
        role::check_is_member(ddl, &new)?;
    }
    change_owner(oid, new.oid, &mut ddl.execution).await
}
