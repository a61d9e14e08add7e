"""A mix of transactions as TPC-C has them, by several terminals at once, and the consistency conditions of its clause 3.3.2.

    checks.py [SECONDS [TERMINALS]]

Two warehouses, with fewer customers and items than the benchmark asks for: this is about what is right, not how fast.
Half of the terminals run at READ COMMITTED, half at REPEATABLE READ; a transaction that fails to serialize or deadlocks is
run again, any other error ends the test. Some orders name an item that does not exist and are rolled back, as the benchmark
has it for one in a hundred.
"""

import random
import sys
import threading
import time
from decimal import Decimal

import psycopg
from psycopg import IsolationLevel

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 5
TERMINALS = int(sys.argv[2]) if len(sys.argv) > 2 else 6
WAREHOUSES, DISTRICTS, CUSTOMERS, ITEMS = 2, 10, 30, 200
# Orders that each district begins with; the last third is not delivered yet.
ORDERS, DELIVERED = 30, 20
SYLLABLES = "BAR OUGHT ABLE PRI PRES ESE ANTI CALLY ATION EING".split()

SCHEMA = """
CREATE TABLE warehouse (w_id int PRIMARY KEY, w_name varchar(10), w_tax numeric(4,4), w_ytd numeric(12,2));
CREATE TABLE district (d_id int, d_w_id int REFERENCES warehouse, d_name varchar(10), d_tax numeric(4,4),
    d_ytd numeric(12,2), d_next_o_id int, PRIMARY KEY (d_w_id, d_id));
CREATE TABLE customer (c_id int, c_d_id int, c_w_id int, c_first varchar(16), c_last varchar(16), c_credit char(2),
    c_discount numeric(4,4), c_balance numeric(12,2), c_ytd_payment numeric(12,2), c_payment_cnt int,
    c_delivery_cnt int, c_data varchar(500), PRIMARY KEY (c_w_id, c_d_id, c_id),
    FOREIGN KEY (c_w_id, c_d_id) REFERENCES district (d_w_id, d_id));
CREATE INDEX customer_name ON customer (c_w_id, c_d_id, c_last, c_first);
CREATE TABLE history (h_c_id int, h_c_d_id int, h_c_w_id int, h_d_id int, h_w_id int, h_date timestamp,
    h_amount numeric(6,2), h_data varchar(24));
CREATE TABLE orders (o_id int, o_d_id int, o_w_id int, o_c_id int, o_entry_d timestamp, o_carrier_id int,
    o_ol_cnt int, PRIMARY KEY (o_w_id, o_d_id, o_id),
    FOREIGN KEY (o_w_id, o_d_id, o_c_id) REFERENCES customer (c_w_id, c_d_id, c_id));
CREATE INDEX orders_customer ON orders (o_w_id, o_d_id, o_c_id, o_id);
CREATE TABLE new_order (no_o_id int, no_d_id int, no_w_id int, PRIMARY KEY (no_w_id, no_d_id, no_o_id));
CREATE TABLE item (i_id int PRIMARY KEY, i_name varchar(24), i_price numeric(5,2));
CREATE TABLE stock (s_i_id int REFERENCES item, s_w_id int, s_quantity int, s_ytd int, s_order_cnt int,
    s_remote_cnt int, PRIMARY KEY (s_w_id, s_i_id));
CREATE TABLE order_line (ol_o_id int, ol_d_id int, ol_w_id int, ol_number int, ol_i_id int, ol_supply_w_id int,
    ol_delivery_d timestamp, ol_quantity int, ol_amount numeric(6,2), PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number),
    FOREIGN KEY (ol_w_id, ol_d_id, ol_o_id) REFERENCES orders (o_w_id, o_d_id, o_id));
"""
TABLES = "order_line, stock, item, new_order, orders, history, customer, district, warehouse"

# Clause 3.3.2, and what else has to be so: each query finds what breaks it.
CONDITIONS = {
    "1: a warehouse has what its districts have": """
        SELECT w_id, w_ytd, sum(d_ytd) FROM warehouse JOIN district ON d_w_id = w_id
        GROUP BY w_id, w_ytd HAVING w_ytd <> sum(d_ytd)""",
    "2: a district's next order follows the last one": """
        SELECT d_w_id, d_id, d_next_o_id, (SELECT max(o_id) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)
        FROM district WHERE d_next_o_id - 1 <> (SELECT max(o_id) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)
           OR d_next_o_id - 1 < (SELECT max(no_o_id) FROM new_order WHERE no_w_id = d_w_id AND no_d_id = d_id)""",
    "3: new orders have no gaps": """
        SELECT no_w_id, no_d_id FROM new_order GROUP BY no_w_id, no_d_id
        HAVING max(no_o_id) - min(no_o_id) + 1 <> count(*)""",
    "4: a district's orders have as many lines as they say": """
        SELECT * FROM (SELECT o_w_id, o_d_id, sum(o_ol_cnt) AS said FROM orders GROUP BY 1, 2) o
        FULL JOIN (SELECT ol_w_id, ol_d_id, count(*) AS there FROM order_line GROUP BY 1, 2) l
             ON (o_w_id, o_d_id) = (ol_w_id, ol_d_id) WHERE said IS DISTINCT FROM there""",
    "5: what has no carrier is new": """
        SELECT o_w_id, o_d_id, o_id FROM orders LEFT JOIN new_order ON (no_w_id, no_d_id, no_o_id) = (o_w_id, o_d_id, o_id)
        WHERE (o_carrier_id IS NULL) <> (no_o_id IS NOT NULL)""",
    "6: each order has as many lines as it says": """
        SELECT o_w_id, o_d_id, o_id, o_ol_cnt FROM orders o
        WHERE o_ol_cnt <> (SELECT count(*) FROM order_line WHERE (ol_w_id, ol_d_id, ol_o_id) = (o_w_id, o_d_id, o_id))""",
    "7: lines are delivered with their order": """
        SELECT ol_w_id, ol_d_id, ol_o_id FROM order_line JOIN orders ON (o_w_id, o_d_id, o_id) = (ol_w_id, ol_d_id, ol_o_id)
        WHERE (ol_delivery_d IS NULL) <> (o_carrier_id IS NULL)""",
    "8: a warehouse has what was paid there": """
        SELECT w_id, w_ytd FROM warehouse WHERE w_ytd <> (SELECT sum(h_amount) FROM history WHERE h_w_id = w_id)""",
    "9: a district has what was paid there": """
        SELECT d_w_id, d_id FROM district
        WHERE d_ytd <> (SELECT sum(h_amount) FROM history WHERE h_w_id = d_w_id AND h_d_id = d_id)""",
    "10: a customer owes what was delivered and not paid": """
        SELECT c_w_id, c_d_id, c_id, c_balance FROM customer c WHERE c_balance <>
            coalesce((SELECT sum(ol_amount) FROM orders JOIN order_line ON (ol_w_id, ol_d_id, ol_o_id) = (o_w_id, o_d_id, o_id)
                      WHERE (o_w_id, o_d_id, o_c_id) = (c_w_id, c_d_id, c_id) AND ol_delivery_d IS NOT NULL), 0)
          - coalesce((SELECT sum(h_amount) FROM history
                      WHERE (h_c_w_id, h_c_d_id, h_c_id) = (c_w_id, c_d_id, c_id)), 0)""",
    "11: orders are as many as those that were, new ones, and those delivered since": f"""
        SELECT d_w_id, d_id FROM district
        WHERE (SELECT count(*) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id)
            - (SELECT count(*) FROM new_order WHERE no_w_id = d_w_id AND no_d_id = d_id)
           <> (SELECT count(*) FROM orders WHERE o_w_id = d_w_id AND o_d_id = d_id AND o_carrier_id IS NOT NULL)""",
    "12: a customer's balance and payments are what was delivered": """
        SELECT c_w_id, c_d_id, c_id FROM customer c WHERE c_balance + c_ytd_payment <>
            coalesce((SELECT sum(ol_amount) FROM order_line JOIN orders ON (o_w_id, o_d_id, o_id) = (ol_w_id, ol_d_id, ol_o_id)
                      WHERE (o_w_id, o_d_id, o_c_id) = (c_w_id, c_d_id, c_id) AND ol_delivery_d IS NOT NULL), 0)""",
    "stock that left is what was ordered": """
        SELECT s_w_id, s_i_id, s_ytd FROM stock WHERE (s_ytd, s_order_cnt) <>
            (SELECT coalesce(sum(ol_quantity), 0), count(*) FROM order_line
             WHERE ol_supply_w_id = s_w_id AND ol_i_id = s_i_id)""",
}


def last_name(number):
    return "".join(SYLLABLES[int(digit)] for digit in f"{number:03}")


def load(connection, chance):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLES}")
        cursor.execute(SCHEMA)

        def copy(table, rows):
            with cursor.copy(f"COPY {table} FROM STDIN") as out:
                for row in rows:
                    out.write_row(row)

        tax = lambda: Decimal(chance.randrange(2001)) / 10000
        customers = [(c, d, w) for w in warehouses() for d in districts() for c in range(1, CUSTOMERS + 1)]
        # Each customer paid 10.00 before, so that histories, districts and warehouses agree.
        paid = Decimal("10.00")
        copy("warehouse", [(w, f"w{w}", tax(), paid * CUSTOMERS * DISTRICTS) for w in warehouses()])
        copy("district", [(d, w, f"d{d}", tax(), paid * CUSTOMERS, ORDERS + 1) for w in warehouses() for d in districts()])
        copy("item", [(i, f"item {i}", Decimal(chance.randrange(100, 10001)) / 100) for i in range(1, ITEMS + 1)])
        lines, orders, balance = [], [], {key: -paid for key in customers}
        left = {}
        for w in warehouses():
            for d in districts():
                for o, c in enumerate(chance.sample(range(1, CUSTOMERS + 1), ORDERS), 1):
                    delivered, count = o <= DELIVERED, chance.randint(5, 15)
                    carrier = chance.randint(1, 10) if delivered else None
                    orders.append((o, d, w, c, "2020-01-01", carrier, count))
                    for number in range(1, count + 1):
                        amount = Decimal(0) if delivered else Decimal(chance.randrange(1, 999999)) / 100
                        item, at = chance.randint(1, ITEMS), "2020-01-02" if delivered else None
                        lines.append((o, d, w, number, item, w, at, 5, amount))
                        ordered, times = left.get((w, item), (0, 0))
                        left[w, item] = (ordered + 5, times + 1)
        copy("stock", [(i, w, chance.randint(10, 100), *left.get((w, i), (0, 0)), 0)
                       for w in warehouses() for i in range(1, ITEMS + 1)])
        copy("customer", [(c, d, w, f"first{c}", last_name(c % 10), "GC" if c % 10 else "BC", tax(), balance[c, d, w],
                           paid, 1, 0, "data") for c, d, w in customers])
        copy("history", [(c, d, w, d, w, "2020-01-01", paid, "history") for c, d, w in customers])
        copy("orders", orders)
        copy("new_order", [(o, d, w) for o, d, w, *_ in orders if o > DELIVERED])
        copy("order_line", lines)
    connection.commit()


def warehouses():
    return range(1, WAREHOUSES + 1)


def districts():
    return range(1, DISTRICTS + 1)


class UnknownItem(Exception):
    """An order names an item that is not there."""


def new_order(cursor, chance):
    w, d, c = chance.choice(warehouses()), chance.choice(districts()), chance.randint(1, CUSTOMERS)
    rows = [(chance.randint(1, ITEMS), w if chance.random() < 0.9 else chance.choice(warehouses()), chance.randint(1, 10))
            for _ in range(chance.randint(5, 15))]
    if chance.random() < 0.05:
        rows[-1] = (ITEMS + 1, w, 1)
    cursor.execute(
        "SELECT c_discount, w_tax FROM customer, warehouse WHERE w_id = %s AND c_w_id = w_id AND c_d_id = %s AND c_id = %s",
        (w, d, c))
    discount, warehouse_tax = cursor.fetchone()
    cursor.execute(
        "UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = %s AND d_id = %s RETURNING d_next_o_id - 1, d_tax",
        (w, d))
    order, district_tax = cursor.fetchone()
    cursor.execute("INSERT INTO orders VALUES (%s, %s, %s, %s, now(), NULL, %s)", (order, d, w, c, len(rows)))
    cursor.execute("INSERT INTO new_order VALUES (%s, %s, %s)", (order, d, w))
    total = Decimal(0)
    for number, (item, supplier, quantity) in enumerate(rows, 1):
        cursor.execute("SELECT i_price FROM item WHERE i_id = %s", (item,))
        found = cursor.fetchone()
        if found is None:
            raise UnknownItem
        cursor.execute("SELECT s_quantity FROM stock WHERE s_w_id = %s AND s_i_id = %s FOR UPDATE", (supplier, item))
        in_stock = cursor.fetchone()[0]
        cursor.execute(
            "UPDATE stock SET s_quantity = %s, s_ytd = s_ytd + %s, s_order_cnt = s_order_cnt + 1,"
            " s_remote_cnt = s_remote_cnt + %s WHERE s_w_id = %s AND s_i_id = %s",
            (in_stock - quantity + (91 if in_stock - quantity < 10 else 0), quantity, int(supplier != w), supplier, item))
        amount = quantity * found[0]
        total += amount
        cursor.execute("INSERT INTO order_line VALUES (%s, %s, %s, %s, %s, %s, NULL, %s, %s)",
                       (order, d, w, number, item, supplier, quantity, amount))
    return total * (1 - discount) * (1 + warehouse_tax + district_tax)


def customer_by_name(cursor, w, d, chance):
    """The one in the middle of those of a last name, as clause 2.5.2.2 has it."""
    cursor.execute("SELECT c_id FROM customer WHERE c_w_id = %s AND c_d_id = %s AND c_last = %s ORDER BY c_first",
                   (w, d, last_name(chance.randrange(10))))
    found = cursor.fetchall()
    return found[(len(found) - 1) // 2][0]


def payment(cursor, chance):
    w, d, amount = chance.choice(warehouses()), chance.choice(districts()), Decimal(chance.randrange(100, 500001)) / 100
    at_home = chance.random() < 0.85
    c_w, c_d = (w, d) if at_home else (chance.choice(warehouses()), chance.choice(districts()))
    cursor.execute("UPDATE warehouse SET w_ytd = w_ytd + %s WHERE w_id = %s RETURNING w_name", (amount, w))
    warehouse = cursor.fetchone()[0]
    cursor.execute("UPDATE district SET d_ytd = d_ytd + %s WHERE d_w_id = %s AND d_id = %s RETURNING d_name", (amount, w, d))
    district = cursor.fetchone()[0]
    by_name = chance.random() < 0.6
    customer = customer_by_name(cursor, c_w, c_d, chance) if by_name else chance.randint(1, CUSTOMERS)
    cursor.execute(
        "UPDATE customer SET c_balance = c_balance - %(amount)s, c_ytd_payment = c_ytd_payment + %(amount)s,"
        " c_payment_cnt = c_payment_cnt + 1, c_data = CASE c_credit WHEN 'BC'"
        " THEN left(concat_ws(' ', %(c)s, %(c_d)s, %(c_w)s, %(amount)s, c_data), 500) ELSE c_data END"
        " WHERE c_w_id = %(c_w)s AND c_d_id = %(c_d)s AND c_id = %(c)s",
        {"amount": amount, "c": customer, "c_d": c_d, "c_w": c_w})
    cursor.execute("INSERT INTO history VALUES (%s, %s, %s, %s, %s, now(), %s, %s)",
                   (customer, c_d, c_w, d, w, amount, f"{warehouse}    {district}"))


def order_status(cursor, chance):
    w, d = chance.choice(warehouses()), chance.choice(districts())
    customer = customer_by_name(cursor, w, d, chance)
    cursor.execute(
        "SELECT o_id, o_ol_cnt FROM orders WHERE o_w_id = %s AND o_d_id = %s AND o_c_id = %s ORDER BY o_id DESC LIMIT 1",
        (w, d, customer))
    order, count = cursor.fetchone()
    cursor.execute(
        "SELECT ol_i_id, ol_amount, ol_delivery_d FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s",
        (w, d, order))
    lines = cursor.fetchall()
    # One transaction may see a later moment with each statement; an order's lines come with it and never change in number.
    assert len(lines) == count, (w, d, order, count, lines)


def delivery(cursor, chance):
    w, carrier = chance.choice(warehouses()), chance.randint(1, 10)
    for d in districts():
        cursor.execute(
            "SELECT no_o_id FROM new_order WHERE no_w_id = %s AND no_d_id = %s ORDER BY no_o_id LIMIT 1 FOR UPDATE", (w, d))
        oldest = cursor.fetchone()
        if oldest is None:
            continue
        cursor.execute("DELETE FROM new_order WHERE no_w_id = %s AND no_d_id = %s AND no_o_id = %s", (w, d, oldest[0]))
        cursor.execute(
            "UPDATE orders SET o_carrier_id = %s WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s RETURNING o_c_id",
            (carrier, w, d, oldest[0]))
        customer = cursor.fetchone()[0]
        cursor.execute(
            "WITH delivered AS (UPDATE order_line SET ol_delivery_d = now() WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id = %s"
            " RETURNING ol_amount) SELECT sum(ol_amount) FROM delivered", (w, d, oldest[0]))
        cursor.execute(
            "UPDATE customer SET c_balance = c_balance + %s, c_delivery_cnt = c_delivery_cnt + 1"
            " WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s", (cursor.fetchone()[0], w, d, customer))


def stock_level(cursor, chance):
    w, d = chance.choice(warehouses()), chance.choice(districts())
    cursor.execute(
        "SELECT count(DISTINCT s_i_id) FROM district JOIN order_line ON ol_w_id = d_w_id AND ol_d_id = d_id"
        " AND ol_o_id BETWEEN d_next_o_id - 20 AND d_next_o_id - 1"
        " JOIN stock ON s_w_id = ol_w_id AND s_i_id = ol_i_id"
        " WHERE d_w_id = %s AND d_id = %s AND s_quantity < %s", (w, d, chance.randint(10, 20)))
    cursor.fetchone()


# By the shares of clause 5.2.3.
MIX = [new_order] * 45 + [payment] * 43 + [order_status] * 4 + [delivery] * 4 + [stock_level] * 4


class Terminal(threading.Thread):
    def __init__(self, number, end):
        super().__init__()
        self.chance, self.end = random.Random(number), end
        self.isolation = IsolationLevel.READ_COMMITTED if number % 2 else IsolationLevel.REPEATABLE_READ
        self.done, self.again, self.failure = {}, 0, None

    def run(self):
        try:
            with psycopg.connect("") as connection:
                connection.isolation_level = self.isolation
                while time.monotonic() < self.end:
                    self.transaction(connection)
        except BaseException as failure:  # the main thread reports it
            self.failure = failure

    def transaction(self, connection):
        work, state = self.chance.choice(MIX), self.chance.getstate()
        while True:
            self.chance.setstate(state)
            try:
                with connection.transaction(), connection.cursor() as cursor:
                    work(cursor, self.chance)
                self.done[work.__name__] = self.done.get(work.__name__, 0) + 1
                return
            except UnknownItem:
                self.done["rolled back"] = self.done.get("rolled back", 0) + 1
                return
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                self.again += 1


def broken(connection):
    found = []
    for name, query in CONDITIONS.items():
        rows = connection.execute(query).fetchall()
        if rows:
            found.append(f"condition {name}: {rows[:3]}")
    connection.commit()
    return found


with psycopg.connect("") as connection:
    load(connection, random.Random(0))
    assert not (before := broken(connection)), before
    end = time.monotonic() + SECONDS
    terminals = [Terminal(number, end) for number in range(TERMINALS)]
    for terminal in terminals:
        terminal.start()
    # The conditions hold at any moment, not only at the end.
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    meanwhile = []
    while any(terminal.is_alive() for terminal in terminals) and not meanwhile:
        meanwhile = broken(connection)
    for terminal in terminals:
        terminal.join()
    failures = [repr(terminal.failure) for terminal in terminals if terminal.failure is not None]
    assert not failures, failures
    assert not meanwhile, meanwhile
    assert not (after := broken(connection)), after
    done = {}
    for terminal in terminals:
        for name, count in terminal.done.items():
            done[name] = done.get(name, 0) + count
    assert all(done.get(work.__name__, 0) > 0 for work in (new_order, payment)), done
    print(f"tpcc: {sum(done.values())} transactions, {sum(terminal.again for terminal in terminals)} run again: {done}")
    connection.execute(f"DROP TABLE {TABLES}")
