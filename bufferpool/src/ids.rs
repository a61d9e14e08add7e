//! Identifiers of pages and of moments. All are 64 bits, global to a folder and never reused, so that
//! branches and databases never collide.

use std::fmt;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

identifier!(
    /// System change number: the position of a commit in the one global order.
    Scn
);
identifier!(
    /// A logical page: a name whose contents are immutable versions.
    PageId
);
identifier!(
    /// A branch: a database is a root branch.
    BranchId
);

impl Scn {
    /// Later than every commit: reads at it see the newest version.
    pub const MAX: Scn = Scn(u64::MAX);
}

impl BranchId {
    /// Holds what belongs to the folder rather than to a database: branches, databases, roles,
    /// the commit-time index.
    pub const SYSTEM: BranchId = BranchId(1);
    /// The first database's branch `main`.
    pub const MAIN: BranchId = BranchId(2);
}

/// The name of a page on a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    /// The branch.
    pub branch: BranchId,
    /// The page.
    pub page: PageId,
}

impl PageKey {
    /// The page `page` of `branch`.
    pub fn new(branch: BranchId, page: PageId) -> PageKey {
        PageKey { branch, page }
    }
}
