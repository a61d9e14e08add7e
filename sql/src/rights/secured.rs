//! What is asked of an object before it may be used: its owner and its list.

use std::borrow::Cow;

use crate::catalog::{
    CatalogSnapshot, EVERYBODY, Grant, PG_CATALOG, Rights, SUPERUSER, SecuredKind, default_grants,
    initial_schema_grants,
};
use crate::relations::VirtualRelation;

/// An object's owner and list.
pub struct Secured<'c> {
    pub kind: SecuredKind,
    pub owner: u32,
    pub grants: Cow<'c, [Grant]>,
    /// Only superusers change it, whatever the list says.
    pub is_system: bool,
}

impl<'c> Secured<'c> {
    fn new(catalog: &'c CatalogSnapshot, kind: SecuredKind, owner: u32, oid: u32) -> Secured<'c> {
        let stored = catalog.rights_on(oid).and_then(|rights| rights.grants.as_deref());
        let grants = match stored {
            Some(grants) => Cow::Borrowed(grants),
            None => Cow::Owned(default_grants(kind, owner)),
        };
        Secured { kind, owner, grants, is_system: false }
    }
}

/// A relation of any kind; an index has its table's.
#[must_use]
pub fn relation(catalog: &CatalogSnapshot, oid: u32) -> Option<Secured<'_>> {
    let of = |kind, owner| Some(Secured::new(catalog, kind, owner, oid));
    if let Some(entry) = catalog.table(oid) {
        let mut secured = Secured::new(catalog, SecuredKind::Relation, entry.table.owner, oid);
        if entry.table.schema == PG_CATALOG
            && catalog.rights_on(oid).is_none_or(|rights| rights.grants.is_none())
            && let Some(computed) = crate::relations::with_oid(oid)
        {
            secured.grants = Cow::Owned(computed_grants(computed));
        }
        return Some(secured);
    }
    if let Some(view) = catalog.view(oid) {
        return of(SecuredKind::Relation, view.owner);
    }
    if let Some(entry) = catalog.sequence(oid) {
        return of(SecuredKind::Sequence, entry.sequence.owner);
    }
    if let Some(index) = catalog.index(oid) {
        return relation(catalog, index.table);
    }
    let computed = crate::relations::with_oid(oid)?;
    let mut secured = Secured::new(catalog, SecuredKind::Relation, SUPERUSER, oid);
    if catalog.rights_on(oid).is_none_or(|rights| rights.grants.is_none()) {
        secured.grants = Cow::Owned(computed_grants(computed));
    }
    secured.is_system = computed.kind == b'r' && computed.schema == PG_CATALOG;
    Some(secured)
}

/// The lists that computed relations begin with: most are there for everybody to read.
pub fn computed_grants(relation: &VirtualRelation) -> Vec<Grant> {
    const CLOSED: [&str; 14] = [
        "pg_authid",
        "pg_backend_memory_contexts",
        "pg_config",
        "pg_file_settings",
        "pg_hba_file_rules",
        "pg_ident_file_mappings",
        "pg_largeobject",
        "pg_replication_origin_status",
        "pg_shadow",
        "pg_shmem_allocations",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_subscription",
        "pg_user_mapping",
    ];
    const READ_ALL_STATS: u32 = 3375;
    let mut grants = default_grants(SecuredKind::Relation, SUPERUSER);
    let mut add = |grantee, rights| {
        grants.push(Grant { grantee, grantor: SUPERUSER, rights, options: Rights::NONE });
    };
    match relation.name {
        "pg_settings" => add(EVERYBODY, Rights::SELECT.with(Rights::UPDATE)),
        "pg_backend_memory_contexts" | "pg_shmem_allocations" => add(READ_ALL_STATS, Rights::SELECT),
        name if CLOSED.contains(&name) => {}
        _ => add(EVERYBODY, Rights::SELECT),
    }
    grants
}

/// A schema.
#[must_use]
pub fn schema(catalog: &CatalogSnapshot, oid: u32) -> Option<Secured<'_>> {
    let found = catalog.schema(oid)?;
    let mut secured = Secured::new(catalog, SecuredKind::Schema, found.owner, oid);
    if catalog.rights_on(oid).is_none_or(|rights| rights.grants.is_none())
        && let Some(initial) = initial_schema_grants(oid)
    {
        secured.grants = Cow::Owned(initial);
    }
    Some(secured)
}

/// A database.
#[must_use]
pub fn database(catalog: &CatalogSnapshot, oid: u32, owner: u32) -> Secured<'_> {
    Secured::new(catalog, SecuredKind::Database, owner, oid)
}

/// Functions that PostgreSQL begins with closed to all but superusers, by their OIDs.
const CLOSED_FUNCTIONS: [u32; 59] = [
    764, 765, 767, 2172, 2274, 2282, 2307, 2621, 2622, 2623, 2624, 2625, 2739, 2848, 3071, 3072, 3098, 3293,
    3295, 3297, 3307, 3329, 3353, 3354, 3400, 3401, 3436, 3775, 3776, 3777, 3800, 3801, 3826, 3827, 3828,
    4543, 5029, 5030, 5031, 5052, 6003, 6004, 6005, 6006, 6007, 6008, 6009, 6010, 6011, 6012, 6013, 6014,
    6170, 6230, 6232, 6250, 6270, 6271, 6272,
];

/// The list that a function begins with, where that is not the default.
#[must_use]
pub fn initial_function_grants(oid: u32) -> Option<Vec<Grant>> {
    CLOSED_FUNCTIONS.binary_search(&oid).ok()?;
    let rights = SecuredKind::Function.all();
    Some(vec![Grant { grantee: SUPERUSER, grantor: SUPERUSER, rights, options: Rights::NONE }])
}

/// A built-in function.
#[must_use]
pub fn function(catalog: &CatalogSnapshot, oid: u32) -> Secured<'_> {
    let mut secured = Secured::new(catalog, SecuredKind::Function, SUPERUSER, oid);
    if catalog.rights_on(oid).is_none_or(|rights| rights.grants.is_none())
        && let Some(initial) = initial_function_grants(oid)
    {
        secured.grants = Cow::Owned(initial);
    }
    secured
}

/// Whether perhaps not everybody may call a function.
#[must_use]
pub fn is_function_restricted(catalog: &CatalogSnapshot, oid: u32) -> bool {
    catalog.rights_on(oid).is_some() || CLOSED_FUNCTIONS.binary_search(&oid).is_ok()
}

/// A language, of those that everybody may be trusted with.
#[must_use]
pub fn language(catalog: &CatalogSnapshot, oid: u32) -> Secured<'_> {
    Secured::new(catalog, SecuredKind::Language, SUPERUSER, oid)
}

/// A type; an array has its elements'.
#[must_use]
pub fn object_type(catalog: &CatalogSnapshot, oid: u32) -> Option<Secured<'_>> {
    let own = catalog.user_type(oid).map(|entry| (entry.definition.oid, entry.definition.owner));
    let (oid, owner) = match own {
        Some(own) => own,
        None => {
            let info = catalog.type_info(oid)?;
            (info.element().unwrap_or(oid), SUPERUSER)
        }
    };
    Some(Secured::new(catalog, SecuredKind::Type, owner, oid))
}
