//! The SQL dialect: PostgreSQL's, with this product's additions. Strings that go on on the next line are put together before
//! (`lexemes`), since no comment in slashes may stand between their parts.

use sqlparser::derive_dialect;
use sqlparser::dialect::PostgreSqlDialect;

derive_dialect!(
    HeliosDialect,
    PostgreSqlDialect,
    preserve_type_id = true,
    overrides = { supports_table_versioning = true, supports_string_literal_concatenation_with_newline = false }
);
