//! Types by their names: as a session with its search path sees them.

use super::PG_CATALOG;
use super::row_type::relation_of_type;
use super::snapshot::CatalogSnapshot;
use crate::binder::name::quote;
use crate::binder::test_domain;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::types::{BuiltinTypes, Oid, TypeCatalog, TypeInfo};
use crate::value::Datum;
use std::sync::LazyLock;

/// All types, and where names without a schema are looked up.
#[derive(Clone, Copy)]
pub struct TypeScope<'a> {
    pub catalog: &'a CatalogSnapshot,
    pub search_path: &'a [u32],
}

static NOTHING: LazyLock<CatalogSnapshot> = LazyLock::new(CatalogSnapshot::default);
static BUILTIN: LazyLock<TypeScope<'static>> =
    LazyLock::new(|| TypeScope { catalog: &NOTHING, search_path: &[PG_CATALOG] });

impl TypeScope<'static> {
    /// The built-in types alone.
    #[must_use]
    pub fn builtin() -> &'static TypeScope<'static> {
        &BUILTIN
    }
}

impl<'a> TypeScope<'a> {
    /// The user's type that a name means, `None` if there is none of that name.
    ///
    /// # Errors
    /// 3F000 for an unknown schema.
    pub fn user_type_named(&self, schema: Option<&str>, base: &str) -> Result<Option<Oid>> {
        let Some(schema) = schema else {
            return Ok(self.found_on_path(base));
        };
        let found = self.catalog.schema_named(schema).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
        })?;
        Ok(self.in_schema(found.oid, base))
    }

    /// A user's type, or the type of a relation's rows.
    fn in_schema(&self, schema: u32, base: &str) -> Option<Oid> {
        self.catalog.type_named(schema, base).or_else(|| self.catalog.row_type_named(schema, base))
    }

    fn found_on_path(&self, base: &str) -> Option<Oid> {
        self.search_path.iter().find_map(|schema| self.in_schema(*schema, base))
    }

    /// The schema and the name of a type that is not built in.
    #[must_use]
    pub fn place(&self, oid: Oid) -> Option<(u32, &str)> {
        if let Some(entry) = self.catalog.user_type(oid) {
            let own = &entry.definition;
            return Some((own.schema, if oid == own.oid { &own.name } else { &own.array_name }));
        }
        let row = self.catalog.row_type(relation_of_type(oid)?)?;
        Some((row.schema, &row.info_of(oid).name))
    }

    /// Whether a type's name alone finds it.
    #[must_use]
    pub fn is_visible(&self, oid: Oid) -> bool {
        let Some((own_schema, base)) = self.place(oid) else { return true };
        let builtin_first = self
            .search_path
            .iter()
            .take_while(|schema| **schema != own_schema)
            .any(|schema| *schema == PG_CATALOG)
            && BuiltinTypes.type_by_name(base).is_some();
        !builtin_first && self.found_on_path(base) == Some(oid)
    }

    /// The type of a name: a built-in one, or a user's that the search path finds.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'a TypeInfo> {
        static BUILTIN: BuiltinTypes = BuiltinTypes;
        TypeCatalog::type_by_name(&BUILTIN, name)
            .or_else(|| self.catalog.type_info(self.found_on_path(name)?))
    }
}

impl TypeCatalog for TypeScope<'_> {
    fn type_by_oid(&self, oid: Oid) -> Option<&TypeInfo> {
        self.catalog.type_info(oid)
    }

    fn type_by_name(&self, name: &str) -> Option<&TypeInfo> {
        self.named(name)
    }

    fn sql_name(&self, info: &TypeInfo) -> String {
        let schema = self.place(info.oid).and_then(|(schema, _)| self.catalog.schema(schema));
        match schema {
            Some(schema) if !self.is_visible(info.oid) => {
                format!("{}.{}", quote(&schema.name), info.sql_name)
            }
            _ => info.sql_name.to_string(),
        }
    }

    fn check_domain(&self, domain: Oid, value: &Datum, context: &EvalContext<'_>) -> Result<()> {
        test_domain(self, domain, value, context)
    }
}
