//! The SQL dialect: PostgreSQL's, with this product's additions.

use sqlparser::derive_dialect;
use sqlparser::dialect::PostgreSqlDialect;

derive_dialect!(
    HeliosDialect,
    PostgreSqlDialect,
    preserve_type_id = true,
    overrides = { supports_table_versioning = true }
);
