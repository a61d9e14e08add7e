"""What programs do with psycopg 3: each check is a function, run on a fresh connection.

The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE).
"""

import datetime
import decimal
import sys
import threading
import traceback
import uuid

import psycopg
from psycopg import errors
from psycopg.rows import dict_row


def make_table(connection):
    connection.execute("DROP TABLE IF EXISTS psycopg_checks")
    connection.execute("CREATE TABLE psycopg_checks (id int PRIMARY KEY, name text, price numeric(10, 2))")
    connection.commit()


def quick_start(connection):
    """The tutorial, and what psql's quick start does, as a program would."""
    connection.execute("DROP TABLE IF EXISTS users, quick_start")
    connection.execute("CREATE TABLE users (id INT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, age INT)")
    people = [(1, "Alice Johnson", 30), (2, "Bob Smith", 25), (3, "Charlie Brown", 35)]
    for number, name, age in people:
        address = name.split()[0].lower() + "@example.com"
        cursor = connection.execute("INSERT INTO users VALUES (%s, %s, %s, %s)", [number, name, address, age])
        assert cursor.statusmessage == "INSERT 0 1", cursor.statusmessage
    assert connection.execute("SELECT id, name, age FROM users").fetchall() == people
    older = connection.execute("SELECT name, age FROM users WHERE age > %s", [28]).fetchall()
    assert older == [("Alice Johnson", 30), ("Charlie Brown", 35)], older
    assert connection.execute("SELECT COUNT(*) as total_users FROM users").fetchone() == (3,)
    assert connection.execute("SELECT AVG(age) as average_age FROM users").fetchone() == (decimal.Decimal(30),)
    assert connection.execute("UPDATE users SET age = 31 WHERE name = 'Alice Johnson'").rowcount == 1
    assert connection.execute("DELETE FROM users WHERE age < 28 RETURNING id").fetchall() == [(2,)]
    connection.commit()

    connection.execute("CREATE TABLE quick_start (id INT PRIMARY KEY, name TEXT NOT NULL, price NUMERIC(10, 2))")
    connection.execute("INSERT INTO quick_start VALUES (1, 'Widget', 9.99), (2, 'Gadget', 24.5)")
    connection.commit()
    connection.execute("UPDATE quick_start SET price = price * 2 WHERE id = 1")
    for statement, expected in [
        ("SELECT 1 / (id - 1) FROM quick_start WHERE id = 1", errors.DivisionByZero),
        ("INSERT INTO quick_start VALUES (1, 'Duplicate', 1)", errors.UniqueViolation),
        ("INSERT INTO quick_start (id) VALUES (3)", errors.NotNullViolation),
    ]:
        try:
            with connection.transaction():  # inside of a transaction, a savepoint
                connection.execute(statement)
        except expected:
            pass
        else:
            raise AssertionError(f"{statement} succeeded")
    price = "SELECT price FROM quick_start WHERE id = 1"
    assert connection.execute(price).fetchone() == (decimal.Decimal("19.98"),)
    connection.rollback()
    assert connection.execute(price).fetchone() == (decimal.Decimal("9.99"),)
    with connection.cursor().copy("COPY quick_start FROM STDIN") as copy:
        copy.write(b"10\tCopied\t1.25\n11\tCopied too\t\\N\n")
    with connection.cursor(name="found") as cursor:
        cursor.execute("SELECT id, name FROM quick_start ORDER BY id")
        assert cursor.fetchone() == (1, "Widget")
        assert cursor.fetchmany(2) == [(2, "Gadget"), (10, "Copied")]
        assert cursor.fetchall() == [(11, "Copied too")]
    connection.commit()
    # What was committed is there for the next who connects.
    with psycopg.connect("") as other:
        found = other.execute("SELECT count(*), sum(price), min(u.age) FROM quick_start, users u WHERE u.id = 1")
        assert found.fetchone() == (4, decimal.Decimal("35.74"), 31)
    connection.execute("DROP TABLE users, quick_start")


def values_in_both_formats(connection):
    values = [
        True,
        -7,
        2**40,
        1.5,
        decimal.Decimal("12345678901234567890.0123456789"),
        "grün ☃",
        b"\x00\xff",
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 12, 30, 45, 123456),
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        datetime.timedelta(days=3, seconds=7),
        uuid.UUID("12345678-1234-5678-1234-567812345678"),
        [1, 2, 3],
        None,
    ]
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        for value in values:
            found = cursor.execute("SELECT %s", [value]).fetchone()[0]
            assert found == value, (binary, value, found)


def rows_and_transactions(connection):
    make_table(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.executemany(
            "INSERT INTO psycopg_checks VALUES (%s, %s, %s)", [(n, f"name {n}", n * 2) for n in range(100)]
        )
        assert cursor.rowcount == 100
        cursor.execute("SELECT * FROM psycopg_checks WHERE id = %s", [42])
        assert cursor.fetchone() == {"id": 42, "name": "name 42", "price": decimal.Decimal("84.00")}
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM psycopg_checks").fetchone() == (0,)
    connection.rollback()
    with connection.transaction():
        connection.execute("INSERT INTO psycopg_checks VALUES (1, 'kept', 1)")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO psycopg_checks VALUES (1, 'refused', 1)")
        except errors.UniqueViolation as error:
            assert error.diag.constraint_name == "psycopg_checks_pkey", error.diag.constraint_name
            assert error.diag.table_name == "psycopg_checks"
    assert connection.execute("SELECT name FROM psycopg_checks").fetchall() == [("kept",)]


def errors_have_their_classes(connection):
    for statement, expected in [
        ("SELEC 1", errors.SyntaxError),
        ("SELECT * FROM no_such_table", errors.UndefinedTable),
        ("SELECT no_such_column", errors.UndefinedColumn),
        ("SELECT 1 / 0", errors.DivisionByZero),
        ("SELECT 'x'::int", errors.InvalidTextRepresentation),
    ]:
        try:
            connection.execute(statement)
        except expected as error:
            assert error.diag.severity == "ERROR"
        else:
            raise AssertionError(f"{statement} succeeded")
        try:
            connection.execute("SELECT 1")
        except errors.InFailedSqlTransaction:
            pass
        connection.rollback()


def statements_are_prepared_after_some_uses(connection):
    make_table(connection)
    connection.prepare_threshold = 2
    for n in range(20):
        connection.execute("INSERT INTO psycopg_checks (id) VALUES (%s)", [n])
    for n in range(20):
        assert connection.execute("SELECT id FROM psycopg_checks WHERE id = %s", [n]).fetchone() == (n,)


def pipelines_abort_at_errors(connection):
    make_table(connection)
    connection.autocommit = True
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int", [n]) for n in range(10)]
        pipeline.sync()
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(10))
    try:
        with connection.pipeline():
            connection.execute("INSERT INTO psycopg_checks (id) VALUES (1)")
            connection.execute("INSERT INTO psycopg_checks (id) VALUES (1)")
            connection.execute("INSERT INTO psycopg_checks (id) VALUES (2)")
    except errors.UniqueViolation:
        pass
    else:
        raise AssertionError("a duplicate was accepted")
    assert connection.execute("SELECT count(*) FROM psycopg_checks").fetchone() == (0,)


def copy_both_ways(connection):
    make_table(connection)
    rows = [(n, None if n % 3 == 0 else f"tab\tand\nline {n}", decimal.Decimal(n)) for n in range(5000)]
    with connection.cursor().copy("COPY psycopg_checks FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    with connection.cursor().copy("COPY (SELECT * FROM psycopg_checks ORDER BY id) TO STDOUT") as copy:
        copy.set_types(["int4", "text", "numeric"])
        assert list(copy.rows()) == rows
    try:
        with connection.cursor().copy("COPY psycopg_checks FROM STDIN") as copy:
            copy.write_row((10_000, "x", 1))
            raise RuntimeError("changed my mind")
    except RuntimeError:
        pass
    connection.rollback()


def streamed_results(connection):
    total = sum(row[0] for row in connection.cursor().stream("SELECT n FROM generate_series(1, 5000) AS n"))
    assert total == 12_502_500, total


def canceling(connection):
    make_table(connection)
    connection.execute("INSERT INTO psycopg_checks VALUES (1)")
    connection.commit()
    with psycopg.connect("") as other:
        other.execute("DELETE FROM psycopg_checks")
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        try:
            connection.execute("UPDATE psycopg_checks SET name = 'x'")
        except errors.QueryCanceled:
            pass
        else:
            raise AssertionError("the statement did not wait")
        finally:
            timer.join()


def notices_and_settings(connection):
    notices = []
    connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
    connection.execute("DROP TABLE IF EXISTS not_there_at_all")
    assert notices == ['table "not_there_at_all" does not exist, skipping'], notices
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    assert connection.info.parameter_status("TimeZone") == "Asia/Tokyo"
    assert str(connection.info.timezone) == "Asia/Tokyo"
    assert connection.info.encoding == "utf-8"
    assert connection.info.server_version >= 150000


CHECKS = [
    quick_start,
    values_in_both_formats,
    rows_and_transactions,
    errors_have_their_classes,
    statements_are_prepared_after_some_uses,
    pipelines_abort_at_errors,
    copy_both_ways,
    streamed_results,
    canceling,
    notices_and_settings,
]


def main():
    failures = 0
    for check in CHECKS:
        try:
            with psycopg.connect("") as connection:
                check(connection)
        except Exception:  # every check is run, whatever becomes of the others
            failures += 1
            print(f"psycopg: {check.__name__} failed", file=sys.stderr)
            traceback.print_exc()
    with psycopg.connect("", autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS psycopg_checks")
    print(f"psycopg: {len(CHECKS) - failures} of {len(CHECKS)} checks passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
