"""Runs the steps of several sessions in every order on this database and on PostgreSQL, and compares what each step
gives, and which ones wait.

A file under orders/ has `levels:` (isolation levels, with commas), then `setup:` with statements, then steps, one a line:
the session's letter, a number, a statement. `orders:` says which orders to run, one a line; `a1..a4` stands for each of
these steps, `all` for all interleavings. Each session begins its transaction, at the level at hand, with its first step, and runs the statement behind `first:` then:
a scan keeps its snapshot from moving forward, as this database lets one that has read nothing. Where the two databases differ on
purpose, a comment says why, and the order is listed under `differs:`, behind a level where it is for that one alone.
"""

import itertools
import os
import pathlib
import queue
import sys
import threading
import time

import psycopg

SCHEMA = "isolation"
PATIENCE_SECONDS = 10


def connect(conninfo):
    connection = psycopg.connect(conninfo, autocommit=True)
    connection.execute("SET search_path = " + SCHEMA)
    return connection


class Session:
    """A connection with a thread of its own, so that a statement may wait."""

    def __init__(self, conninfo):
        self.connection = connect(conninfo)
        self.pid = self.connection.info.backend_pid
        self.steps, self.results = queue.Queue(), queue.Queue()
        self.waiting = None
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while (statement := self.steps.get()) is not None:
            self.results.put(run(self.connection, statement))

    def result(self, seconds):
        try:
            return self.results.get(timeout=seconds)
        except queue.Empty:
            return None


def run(connection, statement):
    try:
        cursor = connection.execute(statement)
        while cursor.nextset():
            pass
        if cursor.description is None:
            return cursor.statusmessage
        rows = [",".join("null" if value is None else str(value) for value in row) for row in cursor]
        # What is returned comes in no order.
        rows = sorted(rows) if "RETURNING" in statement else rows
        return "rows " + " ".join(f"({row})" for row in rows)
    except psycopg.Error as error:
        # Of a row that got another key one says that it was deleted, the other that it was updated.
        return error.sqlstate if error.sqlstate == "40001" else f"{error.sqlstate} {error.diag.message_primary}"


class System:
    """One of the two databases."""

    def __init__(self, conninfo, letters):
        self.conninfo = conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        self.control = connect(conninfo)
        self.sessions = {letter: Session(conninfo) for letter in letters}

    def is_blocked(self, session):
        return self.control.execute("SELECT cardinality(pg_blocking_pids(%s))", [session.pid]).fetchone()[0] > 0

    def settle(self, told):
        """Waits until each session that is at work is done, or waits for a lock."""
        moving = True
        while moving:
            moving = False
            for letter, session in self.sessions.items():
                if session.waiting is None:
                    continue
                end = time.monotonic() + PATIENCE_SECONDS
                while (result := session.result(0.003)) is None:
                    if self.is_blocked(session) and (result := session.result(0.01)) is None and self.is_blocked(session):
                        break
                    if result is not None:
                        break
                    if time.monotonic() > end:
                        raise SystemExit(f"step {session.waiting} neither ends nor waits for a lock")
                if result is not None:
                    told.append((session.waiting, result))
                    session.waiting = None
                    moving = True

    def run(self, setup, first, steps, order, level):
        for table in self.control.execute("SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                                          " WHERE nspname = %s AND relkind IN ('r', 'S')", [SCHEMA]).fetchall():
            self.control.execute(f"DROP TABLE IF EXISTS {table[0]} CASCADE")
        self.control.execute(setup)
        told, begun = [], set()
        for name in order:
            session = self.sessions[name[0]]
            if session.waiting is not None:
                told.append((name, "its session waits"))
                break
            statement = steps[name]
            if name[0] not in begun:
                begun.add(name[0])
                statement = f"BEGIN ISOLATION LEVEL {level}; {first} {statement}"
            session.waiting = name
            session.steps.put(statement)
            now = []
            self.settle(now)
            if not any(step == name for step, _ in now):
                now.append((name, "waits"))
            # Who else goes on does so at the same time.
            told += sorted(now, key=lambda each: (each[0] != name, each[0]))
        for session in self.sessions.values():
            if session.waiting is not None:
                self.control.execute("SELECT pg_cancel_backend(%s)", [session.pid])
                session.results.get(timeout=PATIENCE_SECONDS)
                session.waiting = None
            session.connection.execute("ROLLBACK")
        # Which of two in a deadlock is told, and when, is nobody's promise.
        return ["deadlock"] if any(result.startswith("40P01") for _, result in told) else told


def interleavings(steps):
    sessions = {}
    for name in steps:
        sessions.setdefault(name[0], []).append(name)
    letters = [letter for letter, names in sessions.items() for _ in names]
    for order in sorted(set(itertools.permutations(letters))):
        left = {letter: iter(names) for letter, names in sessions.items()}
        yield tuple(next(left[letter]) for letter in order)


def choices(word):
    """`a3`, or one of several: `a1..a4`."""
    first, _, last = word.partition("..")
    return [f"{first[0]}{number}" for number in range(int(first[1:]), int((last or first)[1:]) + 1)]


def read(path):
    part, parts, steps = None, {"levels": [], "setup": [], "first": [], "orders": [], "differs": []}, {}
    for line in path.read_text().splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        head, colon, rest = line.partition(":")
        if colon and head in parts:
            part = head
            line = rest.strip()
            if not line:
                continue
        elif part in ("setup", "first", "steps") and line[0].islower() and line[1].isdigit():
            part = "steps"
        if part == "levels":
            parts["levels"] += [level.strip() for level in line.split(",")]
        elif part == "steps":
            name, statement = line.split(" ", 1)
            steps[name] = statement
        else:
            parts[part].append(line)
    orders = []
    for line in parts["orders"]:
        orders += interleavings(steps) if line == "all" else itertools.product(*map(choices, line.split()))
    differs = set()
    for line in parts["differs"]:
        level, bar, order = line.rpartition("|")
        for level in [level.strip()] if bar else parts["levels"]:
            differs.update((level, order) for order in itertools.product(*map(choices, order.split())))
    return parts["levels"], "\n".join(parts["setup"]), " ".join(parts["first"]), steps, orders, differs


def main():
    ours = os.environ.get("HELIOS_DATABASE", "dbname=postgres")
    theirs = os.environ["HELIOS_ORACLE"] + " dbname=postgres"
    folder = pathlib.Path(__file__).parent / "orders"
    wanted = sys.argv[1:]
    ran = differing = 0
    for path in sorted(folder.glob("*.txt")):
        if wanted and path.stem not in wanted:
            continue
        levels, setup, first, steps, orders, differs = read(path)
        letters = sorted({name[0] for name in steps})
        here, there = System(ours, letters), System(theirs, letters)
        there_settings = "SET deadlock_timeout = '10ms'"
        for session in there.sessions.values():
            session.connection.execute(there_settings)
        for level in levels:
            for order in orders:
                ran += 1
                told, expected = (system.run(setup, first, steps, order, level) for system in (here, there))
                if (told != expected) != ((level, order) in differs):
                    differing += 1
                    print(f"{path.stem}, {level}: {' '.join(order)}")
                    for name, each in (("PostgreSQL", expected), ("here", told)):
                        print(f"  {name}:")
                        for step in each:
                            print("    ", step if isinstance(step, str) else f"{step[0]} {steps[step[0]]} → {step[1]}")
    print(f"{ran} orders, {differing} differ")
    sys.exit(differing > 0)


main()
