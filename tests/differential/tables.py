"""Random tables, and scripts that make them; a case is tables and one statement, or several that belong together."""
from tree import without_chunks

LITERALS = {
    "int": lambda r: str(r.randrange(10)),
    "num": lambda r: r.choice(["0.00", "1.50", "-2.25", "3.10", "12.34", "100.00"]),
    "text": lambda r: r.choice(["'k0'", "'k1'", "'k2'", "'K2'", "''", "'a b'", "'äö'", "'%x_'", "'12'"]),
    "date": lambda r: f"'2020-0{r.randrange(1, 4)}-{r.choice(['01', '15', '28'])}'",
    "bool": lambda r: r.choice(["true", "false"]),
    "ints": lambda r: r.choice(["'{}'", "'{1}'", "'{1,2,3}'", "'{3,NULL,1}'", "'{5,5}'"]),
    "jsonb": lambda r: r.choice(
        ["'{\"a\": 1}'", "'{\"a\": 2, \"b\": [1, 2]}'", "'[1, 2]'", "'3'", "'null'", "'{\"b\": {\"a\": \"x\"}}'"]
    ),
    "time": lambda r: f"'2020-0{r.randrange(1, 4)}-15 {r.choice(['00:00', '10:30', '23:59:59'])}'",
}
TYPES = {"int": "int", "num": "numeric(30,2)", "text": "text", "date": "date", "bool": "boolean", "ints": "int[]",
         "jsonb": "jsonb", "time": "timestamp"}


class Table:
    def __init__(self, name, columns, rows, unique=(), others=()):
        # Columns are (name, kind, what is behind the type).
        self.name, self.columns, self.rows = name, columns, rows
        # Statements that follow, indexes for instance.
        self.others = list(others)

    def statements(self):
        columns = ", ".join(f"{name} {TYPES[kind]}{behind}" for name, kind, behind in self.columns)
        yield f"CREATE TABLE {self.name} ({columns})"
        if self.rows:
            rows = ", ".join(f"({', '.join(row)})" for row in self.rows)
            yield f"INSERT INTO {self.name} VALUES {rows}"
        yield from self.others

    def smaller(self):
        """The table with less."""
        for others in without_chunks(self.others, 0):
            yield Table(self.name, self.columns, self.rows, others=others)
        for rows in without_chunks(self.rows, 0):
            yield Table(self.name, self.columns, rows, others=self.others)
        for at in range(len(self.columns)):
            if len(self.columns) > 1:
                rows = [row[:at] + row[at + 1:] for row in self.rows]
                yield Table(self.name, self.columns[:at] + self.columns[at + 1:], rows, others=self.others)
        for at, (name, kind, behind) in enumerate(self.columns):
            if behind:
                columns = self.columns[:at] + [(name, kind, "")] + self.columns[at + 1:]
                yield Table(self.name, columns, self.rows, others=self.others)
        if len(self.rows) * len(self.columns) <= 40:
            for number, row in enumerate(self.rows):
                for at, value in enumerate(row):
                    if value != "NULL":
                        rows = self.rows[:number] + [row[:at] + ["NULL"] + row[at + 1:]] + self.rows[number + 1:]
                        yield Table(self.name, self.columns, rows, others=self.others)


def random_tables(random):
    """Five tables: `id`, two columns that most tables share, and some of all types."""
    tables = []
    for name in "abcde":
        shared = random.sample(["x", "y", "z"], 2)
        kinds = random.sample(["num", "date", "bool", "ints", "jsonb", "time", "int"], random.randrange(1, 5))
        columns = [("id", "int", random.choice([" PRIMARY KEY", " PRIMARY KEY", " NOT NULL", ""]))]
        columns += [(column, "int", "") for column in shared] + [("s", "text", "")]
        columns += [(f"{kind[0]}{at}", kind, "") for at, kind in enumerate(kinds)]
        # In some tables most is NULL.
        nulls = random.choice([0.05, 0.15, 0.15, 0.6])
        rows = []
        # Now and then more than a batch of an executor.
        most = 3000 if name == "a" and random.random() < 0.2 else 200
        for number in range(random.choice([0, 3, 8, 20, 60, most])):
            rows.append([str(number)] + [
                "NULL" if random.random() < nulls else LITERALS[kind](random) for _, kind, _ in columns[1:]
            ])
        if random.random() < 0.3:
            columns[1] = (shared[0], "int", f" CHECK ({shared[0]} < 10)")
        if random.random() < 0.2:
            columns[2] = (shared[1], "int", f" DEFAULT 7 CHECK ({shared[1]} IS NULL OR {shared[1]} >= 0)")
        # Little memory has joins, sorts and groups spill.
        others = [f"SET work_mem = '{random.choice(['1MB', '4MB', '4MB'])}'"] if name == "a" else []
        for column, kind, _ in columns[1:]:
            if kind != "jsonb" and random.random() < 0.4:
                where = f" WHERE {shared[0]} > 3" if random.random() < 0.25 else ""
                others.append(f"CREATE INDEX ON {name} ({column}{random.choice(['', ' DESC', ', id'])}){where}")
        if random.random() < 0.2:
            others.append(f"CREATE UNIQUE INDEX {name}_u ON {name} (id, {shared[0]})")
        if tables and random.random() < 0.25 and tables[-1].columns[0][2] == " PRIMARY KEY":
            # Only NULLs and keys that are there.
            keys = len(tables[-1].rows)
            for row in rows:
                if row[2] != "NULL" and int(row[2]) >= keys:
                    row[2] = "NULL"
            others.append(
                f"ALTER TABLE {name} ADD FOREIGN KEY ({shared[1]}) REFERENCES {tables[-1].name}"
                f"{random.choice(['', ' ON DELETE CASCADE', ' ON DELETE SET NULL'])}"
            )
        if random.random() < 0.6:
            others.append(f"ANALYZE {name}")
        tables.append(Table(name, columns, rows, others=others))
    return tables
