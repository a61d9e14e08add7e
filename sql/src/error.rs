//! The error every SQL operation returns: PostgreSQL's SQLSTATE, wording, position and object names.

use std::fmt;

/// A result whose error is a [`SqlError`] (one pointer wide).
pub type Result<T> = std::result::Result<T, SqlError>;

/// A five-character SQLSTATE code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub [u8; 5]);

macro_rules! sql_states {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState {
            $(#[doc = concat!("SQLSTATE ", $code, ".")]
            pub const $name: SqlState = SqlState::new($code);)*
        }
    };
}

impl SqlState {
    const fn new(code: &str) -> SqlState {
        let bytes = code.as_bytes();
        assert!(bytes.len() == 5);
        SqlState([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]])
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

sql_states! {
    SUCCESSFUL_COMPLETION = "00000";
    WARNING = "01000";
    STRING_DATA_RIGHT_TRUNCATION_WARNING = "01004";
    PRIVILEGE_NOT_REVOKED = "01006";
    PRIVILEGE_NOT_GRANTED = "01007";
    DEPRECATED_FEATURE = "01P01";
    CONNECTION_EXCEPTION = "08000";
    PROTOCOL_VIOLATION = "08P01";
    FEATURE_NOT_SUPPORTED = "0A000";
    INVALID_TRANSACTION_INITIATION = "0B000";
    INVALID_GRANTOR = "0L000";
    INVALID_GRANT_OPERATION = "0LP01";
    CASE_NOT_FOUND = "20000";
    CARDINALITY_VIOLATION = "21000";
    DATA_EXCEPTION = "22000";
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    NULL_VALUE_NOT_ALLOWED = "22004";
    INVALID_DATETIME_FORMAT = "22007";
    DATETIME_FIELD_OVERFLOW = "22008";
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = "22009";
    ESCAPE_CHARACTER_CONFLICT = "2200B";
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = "2200H";
    SUBSTRING_ERROR = "22011";
    DIVISION_BY_ZERO = "22012";
    INVALID_PRECEDING_OR_FOLLOWING_SIZE = "22013";
    INTERVAL_FIELD_OVERFLOW = "22015";
    INVALID_ESCAPE_CHARACTER = "22019";
    INVALID_ARGUMENT_FOR_LOG = "2201E";
    INVALID_ARGUMENT_FOR_NTILE = "22014";
    INVALID_ARGUMENT_FOR_NTH_VALUE = "22016";
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = "2201F";
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION = "2201G";
    INVALID_REGULAR_EXPRESSION = "2201B";
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = "2201W";
    INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = "2201X";
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    INDICATOR_OVERFLOW = "22022";
    INVALID_PARAMETER_VALUE = "22023";
    EXTERNAL_ROUTINE_INVOCATION_EXCEPTION = "39000";
    EVENT_TRIGGER_PROTOCOL_VIOLATED = "39P03";
    INVALID_ESCAPE_SEQUENCE = "22025";
    STRING_DATA_LENGTH_MISMATCH = "22026";
    TRIM_ERROR = "22027";
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    INVALID_TABLESAMPLE_ARGUMENT = "2202H";
    INVALID_TABLESAMPLE_REPEAT = "2202G";
    INVALID_TEXT_REPRESENTATION = "22P02";
    INVALID_BINARY_REPRESENTATION = "22P03";
    BAD_COPY_FILE_FORMAT = "22P04";
    UNTRANSLATABLE_CHARACTER = "22P05";
    INVALID_USE_OF_ESCAPE_CHARACTER = "2200C";
    NONSTANDARD_USE_OF_ESCAPE_CHARACTER = "22P06";
    DUPLICATE_JSON_OBJECT_KEY_VALUE = "22030";
    INVALID_JSON_TEXT = "22032";
    INVALID_SQL_JSON_SUBSCRIPT = "22033";
    MORE_THAN_ONE_SQL_JSON_ITEM = "22034";
    NO_SQL_JSON_ITEM = "22035";
    SQL_JSON_ARRAY_NOT_FOUND = "22039";
    SQL_JSON_MEMBER_NOT_FOUND = "2203A";
    SQL_JSON_SCALAR_REQUIRED = "2203F";
    INTEGRITY_CONSTRAINT_VIOLATION = "23000";
    RESTRICT_VIOLATION = "23001";
    NOT_NULL_VIOLATION = "23502";
    FOREIGN_KEY_VIOLATION = "23503";
    UNIQUE_VIOLATION = "23505";
    CHECK_VIOLATION = "23514";
    EXCLUSION_VIOLATION = "23P01";
    INVALID_CURSOR_STATE = "24000";
    INVALID_TRANSACTION_STATE = "25000";
    ACTIVE_SQL_TRANSACTION = "25001";
    READ_ONLY_SQL_TRANSACTION = "25006";
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    IN_FAILED_SQL_TRANSACTION = "25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = "25P03";
    INVALID_SQL_STATEMENT_NAME = "26000";
    TRIGGERED_DATA_CHANGE_VIOLATION = "27000";
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    INVALID_PASSWORD = "28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = "2BP01";
    INVALID_TRANSACTION_TERMINATION = "2D000";
    FUNCTION_EXECUTED_NO_RETURN_STATEMENT = "2F005";
    INVALID_CURSOR_NAME = "34000";
    SAVEPOINT_EXCEPTION = "3B000";
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    INVALID_CATALOG_NAME = "3D000";
    INVALID_SCHEMA_NAME = "3F000";
    SERIALIZATION_FAILURE = "40001";
    TRANSACTION_INTEGRITY_CONSTRAINT_VIOLATION = "40002";
    STATEMENT_COMPLETION_UNKNOWN = "40003";
    DEADLOCK_DETECTED = "40P01";
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = "42000";
    INSUFFICIENT_PRIVILEGE = "42501";
    SYNTAX_ERROR = "42601";
    INVALID_NAME = "42602";
    INVALID_COLUMN_DEFINITION = "42611";
    NAME_TOO_LONG = "42622";
    DUPLICATE_COLUMN = "42701";
    AMBIGUOUS_COLUMN = "42702";
    UNDEFINED_COLUMN = "42703";
    UNDEFINED_OBJECT = "42704";
    DUPLICATE_OBJECT = "42710";
    DUPLICATE_ALIAS = "42712";
    DUPLICATE_FUNCTION = "42723";
    AMBIGUOUS_FUNCTION = "42725";
    GROUPING_ERROR = "42803";
    DATATYPE_MISMATCH = "42804";
    WRONG_OBJECT_TYPE = "42809";
    INVALID_FOREIGN_KEY = "42830";
    CANNOT_COERCE = "42846";
    UNDEFINED_FUNCTION = "42883";
    GENERATED_ALWAYS = "428C9";
    RESERVED_NAME = "42939";
    UNDEFINED_TABLE = "42P01";
    UNDEFINED_PARAMETER = "42P02";
    DUPLICATE_CURSOR = "42P03";
    DUPLICATE_DATABASE = "42P04";
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    DUPLICATE_SCHEMA = "42P06";
    DUPLICATE_TABLE = "42P07";
    AMBIGUOUS_PARAMETER = "42P08";
    AMBIGUOUS_ALIAS = "42P09";
    INVALID_COLUMN_REFERENCE = "42P10";
    INVALID_CURSOR_DEFINITION = "42P11";
    INVALID_DATABASE_DEFINITION = "42P12";
    INVALID_FUNCTION_DEFINITION = "42P13";
    INVALID_PREPARED_STATEMENT_DEFINITION = "42P14";
    INVALID_SCHEMA_DEFINITION = "42P15";
    INVALID_TABLE_DEFINITION = "42P16";
    INVALID_OBJECT_DEFINITION = "42P17";
    INDETERMINATE_DATATYPE = "42P18";
    INVALID_RECURSION = "42P19";
    WINDOWING_ERROR = "42P20";
    COLLATION_MISMATCH = "42P21";
    INDETERMINATE_COLLATION = "42P22";
    WITH_CHECK_OPTION_VIOLATION = "44000";
    INSUFFICIENT_RESOURCES = "53000";
    DISK_FULL = "53100";
    OUT_OF_MEMORY = "53200";
    TOO_MANY_CONNECTIONS = "53300";
    CONFIGURATION_LIMIT_EXCEEDED = "53400";
    PROGRAM_LIMIT_EXCEEDED = "54000";
    STATEMENT_TOO_COMPLEX = "54001";
    TOO_MANY_COLUMNS = "54011";
    TOO_MANY_ARGUMENTS = "54023";
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    OBJECT_IN_USE = "55006";
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    LOCK_NOT_AVAILABLE = "55P03";
    UNSAFE_NEW_ENUM_VALUE_USAGE = "55P04";
    QUERY_CANCELED = "57014";
    ADMIN_SHUTDOWN = "57P01";
    CRASH_SHUTDOWN = "57P02";
    CANNOT_CONNECT_NOW = "57P03";
    DATABASE_DROPPED = "57P04";
    IDLE_SESSION_TIMEOUT = "57P05";
    IO_ERROR = "58030";
    UNDEFINED_FILE = "58P01";
    DUPLICATE_FILE = "58P02";
    SNAPSHOT_TOO_OLD = "72000";
    PLPGSQL_ERROR = "P0000";
    RAISE_EXCEPTION = "P0001";
    NO_DATA_FOUND = "P0002";
    TOO_MANY_ROWS = "P0003";
    ASSERT_FAILURE = "P0004";
    INTERNAL_ERROR = "XX000";
    DATA_CORRUPTED = "XX001";
    INDEX_CORRUPTED = "XX002";
}

impl fmt::Debug for SqlState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What an error says, field by field as in PostgreSQL's ErrorResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFields {
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where in the statement, counted in characters from 1.
    pub position: Option<u32>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub datatype: Option<String>,
    pub constraint: Option<String>,
    /// Where it happened: `COPY t, line 3, column a: "x"`.
    pub context: Option<String>,
    /// PostgreSQL's name for the place in its source, of those errors that drivers tell by it.
    pub routine: Option<&'static str>,
}

/// An SQL error; boxed, so that results stay small.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlError(Box<ErrorFields>);

impl SqlError {
    /// An error with a state and a message and nothing else.
    #[cold]
    #[must_use]
    pub fn new(state: SqlState, message: impl Into<String>) -> SqlError {
        SqlError(Box::new(ErrorFields {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            schema: None,
            table: None,
            column: None,
            datatype: None,
            constraint: None,
            context: None,
            routine: None,
        }))
    }

    /// All fields.
    #[must_use]
    pub fn fields(&self) -> &ErrorFields {
        &self.0
    }

    /// The SQLSTATE.
    #[must_use]
    pub fn state(&self) -> SqlState {
        self.0.state
    }

    /// The primary message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The same error in other words.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> SqlError {
        self.0.message = message.into();
        self
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> SqlError {
        self.0.detail = Some(detail.into());
        self
    }

    /// The same error without its detail.
    #[must_use]
    pub fn without_detail(mut self) -> SqlError {
        self.0.detail = None;
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> SqlError {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the position (1-based, in characters) unless one is already known: the innermost wins.
    #[must_use]
    pub fn at(mut self, position: u32) -> SqlError {
        self.0.position.get_or_insert(position);
        self
    }

    /// Without its position: of an error in a text that the client did not send.
    #[must_use]
    pub fn unplaced(mut self) -> SqlError {
        self.0.position = None;
        self
    }

    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> SqlError {
        self.0.schema = Some(schema.into());
        self
    }

    #[must_use]
    pub fn with_table(mut self, table: impl Into<String>) -> SqlError {
        self.0.table = Some(table.into());
        self
    }

    #[must_use]
    pub fn with_column(mut self, column: impl Into<String>) -> SqlError {
        self.0.column = Some(column.into());
        self
    }

    #[must_use]
    pub fn with_datatype(mut self, datatype: impl Into<String>) -> SqlError {
        self.0.datatype = Some(datatype.into());
        self
    }

    #[must_use]
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> SqlError {
        self.0.constraint = Some(constraint.into());
        self
    }

    /// Says where it happened, unless that is already known: the innermost wins.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> SqlError {
        self.0.context.get_or_insert_with(|| context.into());
        self
    }

    /// 42601.
    #[must_use]
    pub fn syntax(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::SYNTAX_ERROR, message)
    }

    /// 0A000.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// XX000: an invariant of ours does not hold.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::INTERNAL_ERROR, message)
    }

    /// XX001: bytes read back are not what was written.
    #[must_use]
    pub fn corrupted(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::DATA_CORRUPTED, message)
    }

    /// 22012.
    #[must_use]
    pub fn division_by_zero() -> SqlError {
        SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
    }

    /// 22003, `integer out of range` and its like.
    #[must_use]
    pub fn out_of_range(type_name: &str) -> SqlError {
        SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{type_name} out of range"))
    }

    /// 22P02, `invalid input syntax for type integer: "x"`.
    #[must_use]
    pub fn invalid_input(type_name: &str, text: &str) -> SqlError {
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {type_name}: \"{text}\""),
        )
    }

    /// 22023.
    #[must_use]
    pub fn invalid_parameter(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }

    /// 22P03, a binary value of the wrong length or shape.
    #[must_use]
    pub fn invalid_binary(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
    }

    /// 0A000 for a prepared statement whose columns have changed: drivers prepare it again.
    #[must_use]
    pub fn changed_result_type() -> SqlError {
        let mut error = SqlError::unsupported("cached plan must not change result type");
        error.0.routine = Some("RevalidateCachedQuery");
        error
    }

    /// 55P03 after `lock_timeout`.
    #[must_use]
    pub fn lock_timeout() -> SqlError {
        SqlError::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
    }

    /// 57014.
    #[must_use]
    pub fn canceled() -> SqlError {
        SqlError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
    }
}

impl fmt::Debug for SqlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for SqlError {}
