import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;

/** What programs do with pgjdbc: each check runs on a fresh connection; first with text, then with binary values. */
public class Checks {
    static final String SCHEMA = "jdbc_checks";
    static int passed = 0, failed = 0;

    interface Check {
        void run(Connection connection) throws Exception;
    }

    static Connection connect(String options) throws SQLException {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
            + System.getenv("PGDATABASE") + "?user=" + System.getenv("PGUSER") + options;
        return DriverManager.getConnection(url);
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    static SQLException fails(String state, Check check, Connection connection) throws Exception {
        try {
            check.run(connection);
        } catch (SQLException error) {
            if (!state.equals(error.getSQLState())) {
                throw new AssertionError(error.getSQLState() + " instead of " + state + ": " + error.getMessage());
            }
            return error;
        }
        throw new AssertionError("no " + state);
    }

    /** The columns named, of all rows. */
    static List<String> rows(ResultSet results, String... columns) throws SQLException {
        List<String> rows = new ArrayList<>();
        while (results.next()) {
            StringJoiner row = new StringJoiner(" ");
            for (String column : columns) row.add(String.valueOf(results.getObject(column)));
            rows.add(row.toString());
        }
        results.close();
        return rows;
    }

    static void make(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("DROP SCHEMA IF EXISTS " + SCHEMA + " CASCADE; CREATE SCHEMA " + SCHEMA);
            connection.setSchema(SCHEMA);
            statement.execute("""
                CREATE TYPE mood AS ENUM ('sad', 'happy');
                CREATE DOMAIN positive AS int CHECK (VALUE > 0);
                CREATE TABLE owners (id serial PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'nobody', UNIQUE (name));
                CREATE TABLE pets (
                    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    owner_id int REFERENCES owners ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE,
                    weight numeric(6, 2), mood mood, tags text[], age positive, born timestamptz,
                    doubled numeric GENERATED ALWAYS AS (weight * 2) STORED);
                COMMENT ON TABLE pets IS 'animals';
                COMMENT ON COLUMN pets.weight IS 'in kilograms';
                CREATE INDEX by_weight ON pets (weight DESC, id);
                CREATE INDEX by_expression ON pets ((weight + 1)) WHERE weight > 0;
                CREATE VIEW heavy AS SELECT id, weight FROM pets WHERE weight > 50;
                """);
        }
    }

    static void metaData(Connection connection) throws Exception {
        make(connection);
        DatabaseMetaData data = connection.getMetaData();
        same(data.getDatabaseMajorVersion(), 15);
        same(data.getDatabaseProductName(), "PostgreSQL");
        same(rows(data.getTables(null, SCHEMA, "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
            List.of("owners TABLE null", "pets TABLE animals", "heavy VIEW null"));
        same(rows(data.getTables(null, SCHEMA, "%", new String[] {"SEQUENCE"}), "TABLE_NAME"),
            List.of("owners_id_seq", "pets_id_seq"));
        same(rows(data.getColumns(null, SCHEMA, "pets", "%"),
            "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "REMARKS", "IS_AUTOINCREMENT",
            "IS_GENERATEDCOLUMN", "ORDINAL_POSITION"),
            List.of("id -5 int8 19 0 0 null YES NO 1", "owner_id 4 int4 10 0 1 null NO NO 2",
                "weight 2 numeric 6 2 1 in kilograms NO NO 3", "mood 12 mood 2147483647 0 1 null NO NO 4",
                "tags 2003 _text 2147483647 0 1 null NO NO 5", "age 2001 positive 10 0 1 null NO NO 6",
                "born 93 timestamptz 35 6 1 null NO NO 7", "doubled 2 numeric 0 null 1 null NO YES 8"));
        same(rows(data.getColumns(null, SCHEMA, "owners", "name"), "COLUMN_DEF", "COLUMN_SIZE", "IS_NULLABLE"),
            List.of("'nobody'::character varying 40 NO"));
        same(rows(data.getPrimaryKeys(null, SCHEMA, "pets"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of("id 1 pets_pkey"));
        String key = "owners id pets owner_id 1 2 0 pets_owner_id_fkey owners_pkey 6";
        String[] keyColumns = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE",
            "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"};
        same(rows(data.getImportedKeys(null, SCHEMA, "pets"), keyColumns), List.of(key));
        same(rows(data.getExportedKeys(null, SCHEMA, "owners"), keyColumns), List.of(key));
        same(rows(data.getCrossReference(null, SCHEMA, "owners", null, SCHEMA, "pets"), keyColumns), List.of(key));
        same(rows(data.getIndexInfo(null, SCHEMA, "pets", false, false), "INDEX_NAME", "NON_UNIQUE", "TYPE", "ORDINAL_POSITION",
            "COLUMN_NAME", "ASC_OR_DESC", "FILTER_CONDITION"),
            List.of("pets_pkey false 3 1 id A null", "by_expression true 3 1 ((weight + (1)::numeric)) A (weight > (0)::numeric)",
                "by_weight true 3 1 weight D null", "by_weight true 3 2 id A null"));
        same(rows(data.getUDTs(null, SCHEMA, "%", new int[] {Types.DISTINCT}), "TYPE_NAME", "DATA_TYPE", "BASE_TYPE"), List.of("positive 2001 4"));
        same(rows(data.getBestRowIdentifier(null, SCHEMA, "pets", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME", "TYPE_NAME"),
            List.of("id int8"));
        same(rows(data.getVersionColumns(null, SCHEMA, "pets"), "COLUMN_NAME"), List.of("ctid"));
        assert rows(data.getSchemas(), "TABLE_SCHEM").contains(SCHEMA);
        same(rows(data.getSchemas(null, SCHEMA), "TABLE_SCHEM"), List.of(SCHEMA));
        same(rows(data.getCatalogs(), "TABLE_CAT").contains(System.getenv("PGDATABASE")), true);
        same(rows(data.getTableTypes(), "TABLE_TYPE").contains("TABLE"), true);
        same(rows(data.getTypeInfo(), "TYPE_NAME", "DATA_TYPE").contains("int4 4"), true);
        same(rows(data.getTablePrivileges(null, SCHEMA, "pets"), "GRANTEE", "PRIVILEGE").contains("postgres SELECT"), true);
        same(rows(data.getColumnPrivileges(null, SCHEMA, "pets", "weight"), "GRANTEE", "PRIVILEGE").contains("postgres UPDATE"), true);
        same(rows(data.getProcedures(null, SCHEMA, "%"), "PROCEDURE_NAME"), List.of());
        same(rows(data.getProcedureColumns(null, SCHEMA, "%", "%"), "PROCEDURE_NAME"), List.of());
        same(rows(data.getFunctions(null, SCHEMA, "%"), "FUNCTION_NAME"), List.of());
        same(rows(data.getFunctionColumns(null, SCHEMA, "%", "%"), "FUNCTION_NAME"), List.of());
        same(rows(data.getFunctions(null, "pg_catalog", "pg_typeof"), "FUNCTION_NAME"), List.of("pg_typeof"));
        same(rows(data.getClientInfoProperties(), "NAME"), List.of("ApplicationName"));
        same(data.getSQLKeywords().contains("analyze"), true);
        same(data.getMaxColumnNameLength(), 63);
        same(data.getUserName(), System.getenv("PGUSER"));
        same(data.getNumericFunctions().isEmpty(), false);
    }

    static void resultSetMetaData(Connection connection) throws Exception {
        make(connection);
        try (PreparedStatement statement = connection.prepareStatement(
                "SELECT p.id, weight w, mood, tags, 'x' || name, name FROM pets p, owners WHERE p.id = ?")) {
            ResultSetMetaData columns = statement.getMetaData();
            StringJoiner shown = new StringJoiner(", ");
            for (int at = 1; at <= columns.getColumnCount(); at++) {
                shown.add(columns.getColumnLabel(at) + " " + columns.getColumnTypeName(at) + " " + columns.getPrecision(at) + " "
                    + columns.getScale(at) + " " + columns.getTableName(at) + " " + columns.isNullable(at) + " "
                    + columns.isAutoIncrement(at) + " " + ((org.postgresql.PGResultSetMetaData) columns).getBaseColumnName(at));
            }
            same(shown.toString(), "id bigserial 19 0 pets 0 true id, w numeric 6 2 pets 1 false weight, "
                + "mood mood 2147483647 0 pets 1 false mood, tags _text 2147483647 0 pets 1 false tags, "
                + "?column? text 2147483647 0  2 false , name varchar 40 0 owners 0 false name");
            same(statement.getParameterMetaData().getParameterTypeName(1), "int8");
        }
    }

    static void values(Connection connection) throws Exception {
        OffsetDateTime moment = OffsetDateTime.parse("2024-02-29T12:34:56.789012Z");
        UUID uuid = UUID.fromString("0123abcd-1234-5678-9abc-def012345678");
        Object[][] all = {
            {"bool", true}, {"int4", Integer.MIN_VALUE}, {"int8", Long.MAX_VALUE}, {"float4", 1.5f}, {"float8", -2.25e300},
            {"numeric", new BigDecimal("12345678901234567890.0123456789")}, {"numeric", new BigDecimal("-0.00001")},
            {"text", "Grüße, 世界"}, {"varchar", ""}, {"uuid", uuid}, {"date", LocalDate.of(1999, 12, 31)},
            {"time", LocalTime.of(23, 59, 59, 999999000)}, {"timestamp", LocalDateTime.of(2024, 2, 29, 12, 34, 56, 789012000)},
            {"timestamptz", moment},
        };
        for (Object[] each : all) {
            // Often enough for a statement on the server, and binary results.
            try (PreparedStatement statement = connection.prepareStatement("SELECT ?::" + each[0] + ", NULL::" + each[0])) {
                for (int time = 0; time < 7; time++) {
                    statement.setObject(1, each[1]);
                    ResultSet results = statement.executeQuery();
                    results.next();
                    same(results.getObject(1, each[1].getClass()), each[1]);
                    same(results.getObject(2), null);
                    results.close();
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::bytea, ?::int[], ?::text[], ?::jsonb, ?::interval")) {
            for (int time = 0; time < 7; time++) {
                statement.setBytes(1, new byte[] {0, -1, 7});
                statement.setArray(2, connection.createArrayOf("int4", new Integer[] {1, null, 3}));
                statement.setArray(3, connection.createArrayOf("text", new String[] {"a,b", "\"", "NULL", null}));
                statement.setObject(4, "{\"a\": 1}", Types.OTHER);
                statement.setObject(5, new org.postgresql.util.PGInterval("1 mon 2 days 03:04:05"));
                ResultSet results = statement.executeQuery();
                results.next();
                same(Arrays.toString(results.getBytes(1)), "[0, -1, 7]");
                same(Arrays.toString((Object[]) results.getArray(2).getArray()), "[1, null, 3]");
                same(Arrays.toString((Object[]) results.getArray(3).getArray()), "[a,b, \", NULL, null]");
                same(results.getString(4), "{\"a\": 1}");
                same(results.getObject(5).toString(), "0 years 1 mons 2 days 3 hours 4 mins 5.0 secs");
                results.close();
            }
        }
    }

    static void batches(Connection connection) throws Exception {
        make(connection);
        connection.setAutoCommit(false);
        try (PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO owners (name) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int number = 0; number < 500; number++) {
                insert.setString(1, "owner " + number);
                insert.addBatch();
            }
            int[] counts = insert.executeBatch();
            same(counts.length, 500);
            ResultSet keys = insert.getGeneratedKeys();
            int count = 0;
            while (keys.next()) same(keys.getInt("id"), ++count);
            same(count, 500);
        }
        connection.commit();
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO pets (owner_id, weight) VALUES (?, ?)", new String[] {"id", "doubled"})) {
            insert.setInt(1, 1);
            insert.setBigDecimal(2, new BigDecimal("2.50"));
            same(insert.executeUpdate(), 1);
            ResultSet keys = insert.getGeneratedKeys();
            keys.next();
            same(keys.getLong(1) + " " + keys.getBigDecimal(2), "1 5.00");
        }
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO owners VALUES (?, ?)")) {
            for (int number : new int[] {1000, 1, 1001}) {
                insert.setInt(1, number);
                insert.setString(2, "again " + number);
                insert.addBatch();
            }
            SQLException error = fails("23505", each -> insert.executeBatch(), connection);
            assert error instanceof BatchUpdateException;
        }
        connection.rollback();
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE owners SET name = name || '!' WHERE id <= 10");
            statement.addBatch("DELETE FROM owners WHERE id > 400");
            same(Arrays.toString(statement.executeBatch()), "[10, 100]");
        }
        connection.commit();
    }

    static void cursors(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT g, repeat('x', 100) FROM generate_series(1, ?) g")) {
            statement.setFetchSize(100);
            statement.setInt(1, 1050);
            long sum = 0;
            ResultSet results = statement.executeQuery();
            while (results.next()) sum += results.getInt(1);
            same(sum, 1050L * 1051 / 2);
        }
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY)) {
            ResultSet results = statement.executeQuery("SELECT g FROM generate_series(1, 20) g");
            results.last();
            same(results.getInt(1), 20);
            results.absolute(5);
            same(results.getInt(1), 5);
        }
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(7);
            same(rows(statement.executeQuery("SELECT g FROM generate_series(1, 20) g"), "g").size(), 7);
        }
        connection.commit();
    }

    static void updatableResults(Connection connection) throws Exception {
        make(connection);
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            statement.execute("INSERT INTO owners (name) VALUES ('one'), ('two'), ('three')");
            ResultSet results = statement.executeQuery("SELECT id, name FROM owners ORDER BY id");
            results.next();
            results.updateString("name", "first");
            results.updateRow();
            results.next();
            results.deleteRow();
            results.moveToInsertRow();
            results.updateInt("id", 9);
            results.updateString("name", "ninth");
            results.insertRow();
            same(rows(statement.executeQuery("SELECT id, name FROM owners ORDER BY id"), "id", "name"), List.of("1 first", "3 three", "9 ninth"));
        }
    }

    static void transactions(Connection connection) throws Exception {
        make(connection);
        try (Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.execute("INSERT INTO owners (name) VALUES ('a')");
            Savepoint savepoint = connection.setSavepoint("here");
            fails("23505", each -> statement.execute("INSERT INTO owners (name) VALUES ('a')"), connection);
            fails("25P02", each -> statement.execute("SELECT 1"), connection);
            connection.rollback(savepoint);
            statement.execute("INSERT INTO owners (name) VALUES ('b')");
            connection.commit();
            for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_READ_COMMITTED}) {
                connection.setTransactionIsolation(level);
                same(connection.getTransactionIsolation(), level);
                connection.commit();
            }
            connection.setReadOnly(true);
            fails("25006", each -> statement.execute("DELETE FROM owners"), connection);
            connection.rollback();
            connection.setReadOnly(false);
            connection.setAutoCommit(true);
            for (String[] each : new String[][] {
                {"SELECT nothing", "42703"}, {"SELECT * FROM nowhere", "42P01"}, {"SELEC", "42601"}, {"SELECT 1/0", "22012"},
                {"INSERT INTO pets (age) VALUES (-1)", "23514"}, {"INSERT INTO pets (owner_id) VALUES (999)", "23503"},
                {"INSERT INTO owners (name) VALUES (NULL)", "23502"}, {"SELECT 'x'::int", "22P02"},
            }) {
                fails(each[1], one -> statement.execute(each[0]), connection);
            }
            statement.setQueryTimeout(1);
            fails("57014", each -> statement.execute("SELECT pg_sleep(20)"), connection);
        }
        // A table that changes under a prepared statement.
        connection.setAutoCommit(true);
        try (PreparedStatement all = connection.prepareStatement("SELECT * FROM owners"); Statement statement = connection.createStatement()) {
            for (int time = 0; time < 7; time++) same(rows(all.executeQuery(), "id").size(), 2);
            statement.execute("ALTER TABLE owners ADD COLUMN more int DEFAULT 3");
            same(rows(all.executeQuery(), "more"), List.of("3", "3"));
        }
    }

    static void copyAndNotifications(Connection connection) throws Exception {
        make(connection);
        PGConnection pg = connection.unwrap(PGConnection.class);
        CopyManager copy = pg.getCopyAPI();
        same(copy.copyIn("COPY owners FROM STDIN (FORMAT csv)", new StringReader("7,x\n8,\"y,z\"\n")), 2L);
        StringWriter out = new StringWriter();
        same(copy.copyOut("COPY (SELECT * FROM owners ORDER BY id) TO STDOUT", out), 2L);
        same(out.toString(), "7\tx\n8\ty,z\n");
        fails("22P02", each -> copy.copyIn("COPY owners FROM STDIN", new StringReader("x\ty\n")), connection);
        try (Statement statement = connection.createStatement(); Connection other = connect("")) {
            statement.execute("LISTEN jdbc");
            other.createStatement().execute("NOTIFY jdbc, 'hello'");
            org.postgresql.PGNotification[] notifications = pg.getNotifications(10000);
            same(notifications[0].getName() + notifications[0].getParameter(), "jdbchello");
            same(notifications[0].getPID(), other.unwrap(PGConnection.class).getBackendPID());
        }
        same(connection.isValid(5), true);
        connection.setClientInfo("ApplicationName", "checks");
        same(rows(connection.createStatement().executeQuery("SHOW application_name"), "application_name"), List.of("checks"));
    }

    static void callables(Connection connection) throws Exception {
        try (CallableStatement call = connection.prepareCall("{? = call upper(?)}")) {
            call.registerOutParameter(1, Types.VARCHAR);
            call.setString(2, "lower");
            call.execute();
            same(call.getString(1), "LOWER");
        }
        try (PreparedStatement escaped = connection.prepareStatement("SELECT {fn concat('a', ?)}, {d '2024-01-01'}, {ts '2024-01-01 00:00:00'}, {fn curdate()} >= {d '2024-01-01'}")) {
            escaped.setString(1, "b");
            ResultSet results = escaped.executeQuery();
            results.next();
            same(results.getString(1) + results.getDate(2) + results.getBoolean(4), "ab2024-01-01true");
        }
    }

    static void check(String name, String options, Check check) {
        try (Connection connection = connect(options)) {
            check.run(connection);
            passed++;
        } catch (Throwable error) {
            failed++;
            System.err.println("jdbc: " + name + " with \"" + options + "\" failed");
            error.printStackTrace();
        }
    }

    public static void main(String[] arguments) throws Exception {
        Checks.class.getClassLoader().setDefaultAssertionStatus(true);
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        for (String options : new String[] {"", "&prepareThreshold=1&binaryTransfer=true", "&preferQueryMode=simple"}) {
            // Simple queries have their parameters written into them, without types.
            if (!options.contains("simple")) check("values", options, Checks::values);
            check("batches", options, Checks::batches);
            check("transactions", options, Checks::transactions);
            check("updatableResults", options, Checks::updatableResults);
            check("copyAndNotifications", options, Checks::copyAndNotifications);
        }
        check("metaData", "", Checks::metaData);
        check("resultSetMetaData", "", Checks::resultSetMetaData);
        check("cursors", "", Checks::cursors);
        check("callables", "", Checks::callables);
        check("batches", "&reWriteBatchedInserts=true", Checks::batches);
        try (Connection connection = connect(""); Statement statement = connection.createStatement()) {
            statement.execute("DROP SCHEMA IF EXISTS " + SCHEMA + " CASCADE");
        }
        System.out.println("jdbc: " + passed + " of " + (passed + failed) + " checks passed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
