"""What programs do with asyncpg: each check is a coroutine, run on a fresh connection.

The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE).
"""

import asyncio
import datetime
import decimal
import io
import json
import sys
import traceback
import uuid

import asyncpg


async def raises(expected, awaitable, sqlstate=None):
    try:
        await awaitable
    except expected as error:
        assert sqlstate is None or error.sqlstate == sqlstate, error.sqlstate
        return error
    raise AssertionError(f"no {expected.__name__}")


async def server_and_settings(connection):
    assert connection.get_server_version().major == 15
    settings = connection.get_settings()
    assert settings.client_encoding == "UTF8" and settings.TimeZone, settings
    assert connection.get_server_pid() == await connection.fetchval("SELECT pg_backend_pid()")


async def values_of_all_types(connection):
    utc = datetime.timezone.utc
    for name, value in [
        ("bool", True),
        ("int2", -32768),
        ("int4", 2147483647),
        ("int8", -9223372036854775808),
        ("float4", 1.5),
        ("float8", -2.25e300),
        ("numeric", decimal.Decimal("12345678901234567890.0123456789")),
        ("numeric", decimal.Decimal("0.00001")),
        ("numeric", decimal.Decimal("-1e50")),
        ("text", "Grüße, 世界"),
        ("varchar", ""),
        ("bpchar", "x"),
        ("name", "table"),
        ('"char"', b"c"),
        ("bytea", bytes(range(256))),
        ("uuid", uuid.UUID("0123abcd-1234-5678-9abc-def012345678")),
        ("date", datetime.date(1999, 12, 31)),
        ("date", datetime.date(1, 1, 1)),
        ("time", datetime.time(23, 59, 59, 999999)),
        ("timetz", datetime.time(1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))),
        ("timestamp", datetime.datetime(2024, 2, 29, 12, 34, 56, 789012)),
        ("timestamptz", datetime.datetime(1969, 7, 20, 20, 17, 40, tzinfo=utc)),
        ("interval", datetime.timedelta(days=40, seconds=3, microseconds=5)),
        ("json", '{"a": [1, 2, {"b": null}]}'),
        ("jsonb", '{"a": [1, 2, {"b": null}]}'),
        ("oid", 4294967295),
        ("int4[]", [1, None, 3]),
        ("int4[]", []),
        ("int4[]", [[1, 2], [3, 4]]),
        ("text[]", ["a,b", 'quo"te', "", None, "NULL"]),
        ("numeric[]", [decimal.Decimal("1.10"), decimal.Decimal("NaN")]),
        ("timestamptz[]", [datetime.datetime(2000, 1, 1, tzinfo=utc)]),
        ("uuid[]", [uuid.UUID(int=7)]),
        ("regclass", None),
    ]:
        got = await connection.fetchval(f"SELECT $1::{name}", value)
        assert got == value or str(got) == str(value), (name, value, got)
        assert await connection.fetchval(f"SELECT $1::{name}", None) is None
    assert (await connection.fetchval("SELECT 'infinity'::timestamptz")).year == 9999
    assert await connection.fetchval("SELECT '-infinity'::date") == datetime.date.min
    row = await connection.fetchval("SELECT ROW(1, 'two', 3.0)")
    assert tuple(row) == (1, "two", decimal.Decimal("3.0")), row
    rows = await connection.fetchval("SELECT array_agg(t) FROM (VALUES (1, 'x'), (2, 'y')) t")
    assert [tuple(each) for each in rows] == [(1, "x"), (2, "y")], rows


async def introspected_types(connection):
    """asyncpg reads what it does not know with a recursive query over the catalogs."""
    await connection.execute(
        """
        DROP SCHEMA IF EXISTS asyncpg_checks CASCADE;
        CREATE SCHEMA asyncpg_checks;
        CREATE TYPE asyncpg_checks.mood AS ENUM ('sad', 'ok', 'happy');
        CREATE DOMAIN asyncpg_checks.positive AS int CHECK (VALUE > 0);
        CREATE TABLE asyncpg_checks.people (
            id serial PRIMARY KEY, mood asyncpg_checks.mood, moods asyncpg_checks.mood[], age asyncpg_checks.positive)
        """
    )
    insert = "INSERT INTO asyncpg_checks.people (mood, moods, age) VALUES ($1, $2, $3) RETURNING *"
    row = await connection.fetchrow(insert, "ok", ["sad", "happy"], 5)
    assert dict(row) == {"id": 1, "mood": "ok", "moods": ["sad", "happy"], "age": 5}, row
    await raises(asyncpg.InvalidTextRepresentationError, connection.fetchrow(insert, "angry", [], 5), "22P02")
    await raises(asyncpg.CheckViolationError, connection.fetchrow(insert, "ok", [], -5), "23514")
    statement = await connection.prepare("SELECT mood, moods, age FROM asyncpg_checks.people WHERE mood = $1")
    columns = [(each.name, each.type.name, each.type.kind) for each in statement.get_attributes()]
    assert columns[0] == ("mood", "mood", "scalar") and columns[1][2] == "array", columns
    (parameter,) = statement.get_parameters()
    assert (parameter.name, parameter.kind, parameter.schema) == ("mood", "scalar", "asyncpg_checks"), parameter
    (row,) = await statement.fetch("ok")
    assert row["mood"] == "ok" and row["moods"] == ["sad", "happy"], row
    await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.set_type_codec("mood", schema="asyncpg_checks", encoder=str.lower, decoder=str.upper)
    assert await connection.fetchval("SELECT $1::json", {"a": 1}) == {"a": 1}
    assert await connection.fetchval("SELECT $1::asyncpg_checks.mood", "SAD") == "SAD"
    await connection.reset_type_codec("mood", schema="asyncpg_checks")
    await connection.execute("ALTER TABLE asyncpg_checks.people ADD note text")
    await connection.reload_schema_state()
    assert (await connection.fetchrow("SELECT * FROM asyncpg_checks.people"))["note"] is None
    await connection.execute("DROP SCHEMA asyncpg_checks CASCADE")


async def statements(connection):
    await connection.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2))")
    assert await connection.execute("INSERT INTO items VALUES (1, 'one', 1.5), (2, 'two', NULL)") == "INSERT 0 2"
    await connection.executemany("INSERT INTO items VALUES ($1, $2, $3)", [(n, str(n), n) for n in range(3, 100)])
    returned = await connection.fetchmany(
        "INSERT INTO items VALUES ($1, $2, 0) RETURNING id", [(n, "x") for n in range(100, 103)]
    )
    assert [row["id"] for row in returned] == [100, 101, 102]
    error = await raises(
        asyncpg.UniqueViolationError,
        connection.executemany("INSERT INTO items VALUES ($1, $2, 0)", [(200, "a"), (1, "b")]),
    )
    assert (error.constraint_name, error.table_name, error.schema_name) == ("items_pkey", "items", "public")
    assert error.detail == "Key (id)=(1) already exists.", error.detail
    assert await connection.fetchval("SELECT count(*) FROM items WHERE id = 200") == 0, "executemany is atomic"
    statement = await connection.prepare("SELECT name FROM items WHERE id = $1")
    assert [await statement.fetchval(n) for n in (1, 2, 50)] == ["one", "two", "50"]
    assert await statement.fetchval(-1) is None and statement.get_statusmsg() == "SELECT 0"
    # A change of the table makes cached plans invalid; asyncpg prepares again.
    all_of_one = "SELECT * FROM items WHERE id = 1"
    assert len(await connection.fetchrow(all_of_one)) == 3
    await connection.execute("ALTER TABLE items ADD COLUMN extra int")
    assert len(await connection.fetchrow(all_of_one)) == 4
    await connection.execute("DROP TABLE items")
    await raises(asyncpg.UndefinedTableError, connection.fetchrow(all_of_one), "42P01")


async def errors(connection):
    for query, expected in [
        ("SELECT * FROM missing", asyncpg.UndefinedTableError),
        ("SELECT missing", asyncpg.UndefinedColumnError),
        ("SELECT missing()", asyncpg.UndefinedFunctionError),
        ("SELEC 1", asyncpg.PostgresSyntaxError),
        ("SELECT 1 / 0", asyncpg.DivisionByZeroError),
        ("SELECT 'x'::int", asyncpg.InvalidTextRepresentationError),
        ("SELECT 99999::smallint", asyncpg.NumericValueOutOfRangeError),
        ("SELECT '2024-02-30'::date", asyncpg.DatetimeFieldOverflowError),
        ("SELECT 1 +", asyncpg.PostgresSyntaxError),
    ]:
        await raises(expected, connection.fetch(query))
    error = await raises(asyncpg.UndefinedColumnError, connection.fetch("SELECT 1, missing"))
    assert error.position == "11", error.position
    await raises(asyncpg.DataError, connection.fetchval("SELECT $1::int", "x"))
    await raises(asyncpg.InterfaceError, connection.fetchval("SELECT $1::int"))
    assert await connection.fetchval("SELECT 1") == 1


async def transactions(connection):
    await connection.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance int CHECK (balance >= 0))")
    await connection.execute("INSERT INTO accounts VALUES (1, 100), (2, 0)")
    async with connection.transaction():
        await connection.execute("UPDATE accounts SET balance = balance - 30 WHERE id = 1")
        await connection.execute("UPDATE accounts SET balance = balance + 30 WHERE id = 2")
        await raises(asyncpg.CheckViolationError, overdraw(connection))
    assert [row[0] for row in await connection.fetch("SELECT balance FROM accounts ORDER BY id")] == [70, 30]
    for isolation in ("serializable", "repeatable_read", "read_committed"):
        async with connection.transaction(isolation=isolation, readonly=isolation == "serializable"):
            shown = await connection.fetchval("SHOW transaction_isolation")
            assert shown == isolation.replace("_", " "), shown
    read_only = connection.transaction(readonly=True)
    await read_only.start()
    await raises(asyncpg.ReadOnlySQLTransactionError, connection.execute("DELETE FROM accounts"), "25006")
    await raises(asyncpg.InFailedSQLTransactionError, connection.execute("SELECT 1"), "25P02")
    await read_only.rollback()
    await connection.execute("DROP TABLE accounts")


async def overdraw(connection):
    async with connection.transaction():
        await connection.execute("UPDATE accounts SET balance = balance - 300 WHERE id = 1")


async def cursors(connection):
    async with connection.transaction():
        numbers = [row[0] async for row in connection.cursor("SELECT g FROM generate_series(1, $1::int) g", 120)]
        assert numbers == list(range(1, 121))
        cursor = await connection.cursor("SELECT g FROM generate_series(1, 20) g")
        assert (await cursor.fetchrow())[0] == 1
        assert [row[0] for row in await cursor.fetch(5)] == [2, 3, 4, 5, 6]
        assert [row[0] for row in await cursor.fetch(100)] == list(range(7, 21))


async def copying(connection):
    await connection.execute("CREATE TABLE copied (id int, name text, at timestamptz, tags text[])")
    at = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    records = [(number, f"n{number}" if number % 3 else None, at, ["a", None]) for number in range(1000)]
    assert await connection.copy_records_to_table("copied", records=records) == "COPY 1000"
    assert [tuple(row) for row in await connection.fetch("SELECT * FROM copied ORDER BY id")] == records
    out = io.BytesIO()
    assert await connection.copy_from_table("copied", output=out, columns=["id", "name"], format="csv") == "COPY 1000"
    assert out.getvalue().splitlines()[:2] == [b"0,", b"1,n1"]
    out = io.BytesIO()
    query = "SELECT id, name FROM copied WHERE id < $1 ORDER BY id"
    assert await connection.copy_from_query(query, 2, output=out) == "COPY 2"
    assert out.getvalue() == b"0\t\\N\n1\tn1\n", out.getvalue()
    source = io.BytesIO(b"id,name\n2001,x\n2002,\n")
    copied = connection.copy_to_table("copied", source=source, columns=["id", "name"], format="csv", header=True)
    assert await copied == "COPY 2"
    bad = connection.copy_to_table("copied", source=io.BytesIO(b"x,y\n"), columns=["id", "name"], format="csv")
    error = await raises(asyncpg.InvalidTextRepresentationError, bad)
    assert error.context == 'COPY copied, line 1, column id: "x"', error.context
    await connection.execute("DROP TABLE copied")


async def listening(connection):
    other = await asyncpg.connect()
    received, arrived = [], asyncio.Event()

    def note(_, pid, channel, payload):
        received.append((pid, channel, payload))
        arrived.set()

    await connection.add_listener("asyncpg_checks", note)
    async with other.transaction():
        await other.execute("NOTIFY asyncpg_checks, 'one'")
        await other.execute("SELECT pg_notify('asyncpg_checks', 'two')")
        assert received == []
    await asyncio.wait_for(arrived.wait(), 10)
    assert received == [(other.get_server_pid(), "asyncpg_checks", payload) for payload in ("one", "two")], received
    await connection.remove_listener("asyncpg_checks", note)
    await other.execute("NOTIFY asyncpg_checks")
    assert await connection.fetchval("SELECT 1") == 1 and len(received) == 2
    await other.close()


async def cancelling(connection):
    await raises(asyncio.TimeoutError, connection.fetch("SELECT pg_sleep(30)", timeout=0.2))
    assert await connection.fetchval("SELECT 1") == 1
    other = await asyncpg.connect()
    task = asyncio.ensure_future(other.fetch("SELECT pg_sleep(30)"))
    running = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE '%sleep%'"
    while not await connection.fetchval(running, other.get_server_pid()):
        await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT pg_cancel_backend($1)", other.get_server_pid())
    await raises(asyncpg.QueryCanceledError, task, "57014")
    assert await connection.fetchval("SELECT pg_terminate_backend($1)", other.get_server_pid())
    try:
        await other.fetch("SELECT 1")
    except (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        pass
    else:
        raise AssertionError("a terminated connection goes on")


async def pool(_):
    async with asyncpg.create_pool(min_size=2, max_size=4) as connections:
        await connections.execute("CREATE TABLE pooled (id int GENERATED ALWAYS AS IDENTITY, worker int)")

        async def work(number):
            async with connections.acquire() as connection:
                await connection.execute("SET search_path TO public, pg_temp")
                await connection.execute("INSERT INTO pooled (worker) VALUES ($1)", number)

        await asyncio.gather(*(work(number) for number in range(20)))
        counts = await connections.fetchrow("SELECT count(*), count(DISTINCT id) FROM pooled")
        assert tuple(counts) == (20, 20), counts
        await connections.execute("DROP TABLE pooled")


async def advisory_locks(connection):
    other = await asyncpg.connect()
    assert await connection.fetchval("SELECT pg_try_advisory_lock($1)", 42)
    assert not await other.fetchval("SELECT pg_try_advisory_lock($1)", 42)
    assert await connection.fetchval("SELECT pg_advisory_unlock($1)", 42)
    assert await other.fetchval("SELECT pg_try_advisory_lock($1)", 42)
    await other.close()


CHECKS = [
    server_and_settings,
    values_of_all_types,
    introspected_types,
    statements,
    errors,
    transactions,
    cursors,
    copying,
    listening,
    cancelling,
    pool,
    advisory_locks,
]


async def main():
    failed = 0
    for check in CHECKS:
        connection = await asyncpg.connect()
        try:
            await asyncio.wait_for(check(connection), 60)
        except Exception:
            failed += 1
            print(f"{check.__name__} FAILED")
            traceback.print_exc()
        finally:
            connection.terminate()
    print(f"asyncpg: {len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
