"""Random statements over random tables, as trees.

Expressions are made from templates by kind: `{int}` in one is an expression of that kind. None of them fails for some
rows and not for others, nor do results hang on an order that SQL leaves open: what two systems may answer differently
tells nothing.
"""
import re

from tables import LITERALS, TYPES
from tree import Node, many, maybe

TEMPLATES = {
    "int": """({int} + {int}); ({int} - {int}); ({int} * {small}); ({int} / nullif({int}, 0)); ({int} % nullif({int}, 0));
        abs({int}); coalesce({int}, {int}); nullif({int}, {int}); greatest({int}, {int}); least({int}, {int}, {int});
        length({text}); position({text} in {text}); CASE WHEN {bool} THEN {int} ELSE {int} END; strpos({text}, {text});
        CASE {int} WHEN {small} THEN {int} WHEN {int} THEN {int} END; array_length({ints}, 1); cardinality({ints});
        ({ints})[{small}]; extract(day from {date})::int; ({date} - {date}); ascii({text}); ({bool})::int; sign({num})::int;
        num_nonnulls({int}, {text}, {bool}); num_nulls({num}, {date}); array_position({ints}, {int}); octet_length({text});
        gcd({int}, {int}); extract(dow from {time})::int; date_part('month', {date})::int; ({int} & 7); ({int} # 3); (- {int});
        jsonb_array_length(CASE WHEN jsonb_typeof({jsonb}) = 'array' THEN '[1]'::jsonb END); array_ndims({ints});
        width_bucket({num}, 0, 100, 5); cardinality(string_to_array({text}, ' ')); array_upper({ints}, 1); bit_length({text});
        regexp_count({text}, '[k1]'); regexp_instr({text}, '[0-9]'); floor({num})::int; mod({int}, 3); length({text}::bytea)""",
    "num": """({num} + {num}); ({num} - {num}); round({num} * 1.25, 2); round({num} / nullif({num}, 0), 2); ({int})::numeric;
        abs({num}); round({num}, 1); trunc({num}, 1); ceil({num}); floor({num}); greatest({num}, {num}); coalesce({num}, {num});
        round(sqrt(abs({num})), 3); round({num} % nullif({num}, 0), 2); CASE WHEN {bool} THEN {num} ELSE {num} END;
        ({int} * 0.5); nullif({num}, {num}); round(power(abs({num}) , 2), 2); extract(epoch from {date})""",
    "text": """({text} || {text}); upper({text}); lower({text}); substr({text}, {small}, 2); coalesce({text}, {text});
        CASE WHEN {bool} THEN {text} ELSE {text} END; ({int})::text; ({num})::text; replace({text}, 'k', {text}); left({text}, {small});
        right({text}, 2); repeat({text}, 2); trim({text}); ltrim({text}, 'k'); lpad({text}, 4, 'x'); rpad({text}, 3, '-'); md5({text});
        reverse({text}); initcap({text}); to_char({date}, 'YYYY-MM-DD'); to_char({num}, 'FM9990.00'); split_part({text}, ' ', 1);
        translate({text}, 'k1', 'xy'); nullif({text}, {text}); concat({text}, {int}, NULL); concat_ws('-', {text}, {int}, {text});
        ({jsonb} ->> 'a'); ({jsonb} #>> '{b,0}'); ({bool})::text; array_to_string({ints}, ',', '*'); ({jsonb})::text; quote_literal({text});
        format('%s-%s', {text}, {int}); format('%5s|%-3s', {text}, {text}); overlay({text} placing 'zz' from 1 for 1); ({date})::text;
        regexp_replace({text}, '[0-9]+', '<\\&>'); substring({text} from 'k(.)'); jsonb_typeof({jsonb}); to_char({time}, 'HH24:MI Dy');
        encode({text}::bytea, 'hex'); chr(65 + {small}); quote_nullable({text}); (regexp_match({text}, '(k)(.)'))[2]; ({ints})::text;
        regexp_substr({text}, '[a-z]'); to_hex({int}); jsonb_pretty({jsonb}); greatest({text}, {text}); left({text}, -1)""",
    "bool": """{int} = {int}; {int} < {int}; {int} <> {int}; {int} >= {small}; {int} = {small}; {num} > {num}; {text} = {text};
        {text} < {text}; {date} = {date}; {date} < {date}; ({int}) IS NULL; ({text}) IS NOT NULL; ({bool} AND {bool}); ({bool} OR {bool});
        ({bool} AND {bool}); ({bool} OR {bool}); (NOT {bool}); {int} IN ({int}, {small}); {int} NOT IN ({small}, {small}, {int});
        {int} BETWEEN {int} AND {int}; {int} BETWEEN SYMMETRIC {int} AND {small}; {text} LIKE 'k%'; {text} ILIKE '%K%'; {text} ~ '^[k0-9]+$';
        ({bool}) IS TRUE; ({bool}) IS NOT FALSE; ({bool}) IS UNKNOWN; {int} IS DISTINCT FROM {int}; {text} IS NOT DISTINCT FROM {text};
        {ints} @> {ints}; {ints} && {ints}; {ints} = {ints}; {ints} < {ints}; {int} = ANY ({ints}); {int} < ALL ({ints});
        {jsonb} @> {jsonb}; {jsonb} ? 'a'; {jsonb} = {jsonb}; ({jsonb} -> 'a') IS NULL; coalesce({bool}, {bool}); {time} < {time};
        ({int}, {text}) = ({int}, {text}); ({int}, {int}) < ({small}, {int}); ({int}, {date}) IN (({int}, {date}), ({small}, {date}));
        ROW({int}, {text}) IS NULL; ROW({int}, {text}) IS NOT DISTINCT FROM ROW({int}, {text}); starts_with({text}, 'k');
        CASE WHEN {bool} THEN {bool} ELSE {bool} END; ({date}, {date}) OVERLAPS ({date}, {date}); {date} > {time}; {int} <> ALL (ARRAY[{small}, {int}]);
        {text} SIMILAR TO 'k[0-9]'; {text} IN ({text}, {text}); {num} = {int}; {jsonb} < {jsonb}; isfinite({date})""",
    "date": """({date} + {small}); ({date} - {small}); coalesce({date}, {date}); greatest({date}, {date}); date_trunc('month', {date})::date;
        ({time})::date; CASE WHEN {bool} THEN {date} ELSE {date} END; make_date(2020, 1 + {small}, 5); ({date} + interval '1 month')::date;
        nullif({date}, {date}); least({date}, {date})""",
    "time": """({time} + interval '1 day 2 hours'); ({date})::timestamp; date_trunc('hour', {time}); coalesce({time}, {time});
        ({date} + {small} * interval '1 hour'); greatest({time}, {time}); ({time} - ({date} - {date}) * interval '1 day')""",
    "ints": """({ints} || {ints}); ({ints} || {int}); array_append({ints}, {int}); array_remove({ints}, {int}); ARRAY[{int}, {int}];
        coalesce({ints}, {ints}); array_prepend({int}, {ints}); array_replace({ints}, {int}, {int}); ({ints})[1:2]; nullif({ints}, {ints});
        array_cat({ints}, {ints}); trim_array('{1,2,3}'::int[], {three}); CASE WHEN {bool} THEN {ints} END; ({ints})[2:]; array_positions({ints}, {int})""",
    "jsonb": """({jsonb} -> 'b'); ({jsonb} -> 0); jsonb_build_object('a', {int}, 'b', {text}); to_jsonb({text}); to_jsonb({ints});
        jsonb_build_array({int}, {text}, {bool}); coalesce({jsonb}, {jsonb}); ({jsonb} #> '{b,a}'); jsonb_strip_nulls({jsonb}); to_jsonb({date});
        (jsonb_build_object('c', {int}) || jsonb_build_object('a', {bool})); jsonb_set(jsonb_build_object('a', {int}), '{a}', '5'); to_jsonb({num});
        (jsonb_build_object('k', {text}) - 'k'); nullif({jsonb}, {jsonb})""",
}
TEMPLATES = {kind: [one.strip() for one in text.split(";\n") for one in re.split(r";\s", one) if one.strip()]
             for kind, text in TEMPLATES.items()}
# Of what is grouped, by the kind of the result; each as {argument}, whose order does not matter.
AGGREGATES = {
    "int": ["count(*)::int", "count({any})::int", "count(DISTINCT {any})::int", "sum({int})::int", "min({int})", "max({int})",
            "bit_or({int})", "bit_and({int})", "sum(DISTINCT {int})::int", "mode() WITHIN GROUP (ORDER BY {bool})::int",
            "percentile_disc(0.5) WITHIN GROUP (ORDER BY {int})", "regr_count({num}, {int})::int", "count({int}) FILTER (WHERE {bool})::int"],
    "num": ["sum({num})", "round(avg({int}), 3)", "min({num})", "max({num})", "round(variance({int}), 3)", "round(stddev_pop({num}), 3)",
            "sum({num}) FILTER (WHERE {bool})"],
    "text": ["min({text})", "max({text})", "string_agg({text}, ',' ORDER BY {same})", "string_agg(DISTINCT {text}, ';' ORDER BY {same})"],
    "bool": ["bool_and({bool})", "bool_or({bool})", "every({bool})", "count(*) > 2", "sum({int}) > 10"],
    "date": ["min({date})", "max({date})", "percentile_disc(0.25) WITHIN GROUP (ORDER BY {date})"],
    "ints": ["array_agg({int} ORDER BY {same})", "array_agg(DISTINCT {int} ORDER BY {same})", "array_agg({int} ORDER BY {same} DESC NULLS LAST)"],
    "jsonb": ["jsonb_agg({int} ORDER BY {same})", "jsonb_agg({text} ORDER BY {same})", "jsonb_object_agg(coalesce({text}, 'none'), 1)"],
    "time": ["max({time})", "min({time})"],
}
# Window functions that do not tell rows apart that are equal in what is ordered by; {total} orders by all columns.
WINDOWS = {
    "int": ["rank() OVER ({by} ORDER BY {any})::int", "dense_rank() OVER ({by} ORDER BY {any} DESC)::int", "row_number() OVER ({by} ORDER BY {total})::int",
            "sum({int}) OVER ({by} ORDER BY {any})::int", "count(*) OVER ({by})::int", "lag({int}) OVER ({by} ORDER BY {total})", "ntile(3) OVER ({by} ORDER BY {total})",
            "lead({int}, 2, 0) OVER ({by} ORDER BY {total})", "first_value({int}) OVER ({by} ORDER BY {total})",
            "sum({int}) OVER ({by} ORDER BY {total} ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING)::int",
            "count({any}) OVER ({by} ORDER BY {int} RANGE BETWEEN 2 PRECEDING AND CURRENT ROW)::int",
            "max({int}) OVER ({by} ORDER BY {any} GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES)",
            "min({int}) OVER ({by} ORDER BY {total} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW)",
            "nth_value({int}, 2) OVER ({by} ORDER BY {total} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
            "last_value({int}) OVER ({by} ORDER BY {total} DESC)", "count(*) FILTER (WHERE {bool}) OVER ({by})::int"],
    "num": ["round(cume_dist() OVER ({by} ORDER BY {any})::numeric, 4)", "round(percent_rank() OVER ({by} ORDER BY {any})::numeric, 4)",
            "round(avg({int}) OVER ({by}), 3)", "sum({num}) OVER ({by} ORDER BY {date} RANGE BETWEEN interval '1 month' PRECEDING AND CURRENT ROW)"],
    "text": ["lag({text}) OVER ({by} ORDER BY {total})", "max({text}) OVER ({by} ORDER BY {any})"],
    "ints": ["array_agg({int}) OVER ({by} ORDER BY {total})"],
}
KINDS = list(TYPES)


class Scope:
    """What expressions may name: columns as (text, kind), and those of queries around."""

    def __init__(self, columns, outer=(), depth=0):
        self.columns, self.outer, self.depth = columns, list(outer), depth

    def inner(self, columns):
        return Scope(columns, self.columns + self.outer, self.depth + 1)


class Generator:
    def __init__(self, random, tables):
        self.random, self.tables, self.aliases = random, tables, 0
        # CTEs that may be read: names and columns.
        self.named = []

    def chance(self, share):
        return self.random.random() < share

    def choose(self, *options):
        return self.random.choice(options)

    def alias(self):
        self.aliases += 1
        return f"q{self.aliases}"

    # Expressions ------------------------------------------------------------------------------------------------

    def column(self, kind, scope):
        columns = [column for column, own in scope.columns if own == kind]
        if scope.outer and (not columns or self.chance(0.15)):
            columns = [column for column, own in scope.outer if own == kind] or columns
        return Node(kind, self.random.choice(columns)) if columns else None

    def literal(self, kind):
        text = "NULL" if self.chance(0.08) else LITERALS[kind](self.random)
        return Node(kind, f"{text}::{TYPES[kind].partition('(')[0]}")

    def expression(self, kind, scope, size=2):
        draw = self.random.random()
        if kind == "bool" and scope.depth < 2 and draw < 0.12 and size > 0:
            return self.subquery_condition(scope)
        if kind != "bool" and (size == 0 or draw < 0.55):
            return self.column(kind, scope) or self.literal(kind)
        if size == 0:
            return self.fill("bool", self.choose("{int} = {small}", "({int}) IS NULL", "{text} > {text}", "{int} < {int}"), scope, 1)
        if kind in ("int", "text", "num", "date") and scope.depth < 2 and draw < 0.62:
            return self.scalar(kind, scope)
        return self.fill(kind, self.random.choice(TEMPLATES[kind]), scope, size)

    def fill(self, kind, template, scope, size):
        """A template with its holes filled."""
        parts, last = [], None
        for text in re.split(r"(\{[a-z]+\})", template):
            hole = text[1:-1] if text.startswith("{") else None
            if hole in TYPES:
                last = self.expression(hole, scope, size - 1)
                parts.append(last)
            elif hole == "any":
                last = self.expression(self.choose("int", "int", "text", "date", "bool", "num"), scope, 0)
                parts.append(last)
            elif hole == "same":
                parts.append(str(last))
            elif hole == "small":
                parts.append(str(self.random.randrange(10)))
            elif hole == "three":
                parts.append(str(self.random.randrange(3)))
            elif hole == "by":
                keys = [self.expression(self.choose("int", "text", "bool"), scope, self.choose(0, 0, 1))] if self.chance(0.6) else []
                parts.append(maybe("PARTITION BY ", *keys) if keys else "")
            elif hole == "total":
                parts.append(many([column for column, _ in scope.columns], ", "))
            else:
                parts.append(text)
        return Node(kind, *parts)

    def aggregate(self, kind, scope):
        # Of outer columns alone it would be the outer query's.
        return self.fill(kind, self.random.choice(AGGREGATES[kind]), Scope(scope.columns, (), 2), 1)

    def scalar(self, kind, scope):
        source, inner = self.joined(self.choose(1, 1, 2), scope)
        aggregate = self.aggregate(kind, inner)
        return Node(kind, "(SELECT ", aggregate, " FROM ", source, self.where(inner, 1), ")")

    def subquery_condition(self, scope):
        source, inner = self.joined(self.choose(1, 1, 2), scope)
        where = self.where(inner, 1, share=0.9)
        draw = self.random.randrange(5)
        if draw == 0:
            return Node("bool", self.choose("", "NOT "), "EXISTS (SELECT FROM ", source, where, ")")
        kind = self.choose("int", "int", "text", "num", "date")
        outer, own = self.expression(kind, scope, 1), self.expression(kind, inner, 1)
        if draw == 1:
            return Node("bool", outer, self.choose(" ", " NOT "), "IN (SELECT ", own, " FROM ", source, where, ")")
        if draw == 2:
            return Node("bool", outer, self.choose(" = ANY", " < ALL", " > ANY", " <> ALL"), " (SELECT ", own, " FROM ", source, where, ")")
        if draw == 3:
            other = self.expression("int", scope, 1), self.expression("int", inner, 1)
            return Node("bool", "(", outer, ", ", other[0], ")", self.choose(" ", " NOT "), "IN (SELECT ", own, ", ", other[1], " FROM ", source, where, ")")
        return Node("bool", outer, self.choose(" = ", " < ", " >= "), self.scalar(kind, scope))

    # FROM -------------------------------------------------------------------------------------------------------

    def table(self):
        if self.named and self.chance(0.4):
            name, columns = self.random.choice(self.named)
        else:
            table = self.random.choice(self.tables)
            name, columns = table.name, [(column, kind) for column, kind, _ in table.columns]
        alias = self.alias()
        return Node("relation", name, " ", alias), [(f"{alias}.{column}", kind) for column, kind in columns]

    def relation(self, scope):
        draw = self.random.random()
        if draw < 0.78 or scope.depth >= 2:
            return self.table()
        alias = self.alias()
        if draw < 0.92:
            kinds = [self.choose("int", "int", "text", "num", "date", "bool", "ints") for _ in range(self.choose(1, 2, 3))]
            lateral = scope.columns if self.chance(0.3) else []
            query = self.query(kinds, Scope([], lateral + scope.outer, scope.depth + 1))
            text = Node("relation", "LATERAL " if lateral else "", "(", query, ") ", alias)
            return text, [(f"{alias}.c{number}", kind) for number, kind in enumerate(kinds)]
        if draw < 0.95:
            rows = [Node("row", "(", self.literal("int"), ", ", self.literal("text"), ")") for _ in range(self.choose(1, 3, 5))]
            return Node("relation", "(VALUES ", many(rows), f") {alias}(u, v)"), [(f"{alias}.u", "int"), (f"{alias}.v", "text")]
        if draw < 0.97:
            return Node("relation", f"generate_series({self.random.randrange(3)}, {self.random.randrange(8)}) {alias}(g)"), [(f"{alias}.g", "int")]
        values = Scope(scope.columns, scope.outer, 2)
        if draw < 0.98:
            return (Node("relation", "unnest(", self.expression("ints", values, 1), f") WITH ORDINALITY {alias}(v, n)"),
                    [(f"{alias}.v", "int"), (f"{alias}.n", "int")])
        if draw < 0.985:
            last = self.expression("int", values, 0)
            return Node("relation", "generate_series(1, least(", last, f", 12)) {alias}(g)"), [(f"{alias}.g", "int")]
        text, kinds = self.choose(
            ("string_to_table({text}, 'k') {alias}(v)", "text"),
            ("regexp_split_to_table({text}, '[0-9]') WITH ORDINALITY {alias}(v, n)", "text int"),
            ("jsonb_array_elements(CASE jsonb_typeof({jsonb}) WHEN 'array' THEN '[1, {{}}, null]'::jsonb END) {alias}(v)", "jsonb"),
            ("jsonb_array_elements_text(jsonb_build_array({int}, {text}, {jsonb})) WITH ORDINALITY {alias}(v, n)", "text int"),
            ("jsonb_each(jsonb_build_object('a', {jsonb}, 'b', {int})) {alias}(v, n)", "text jsonb"),
            ("jsonb_object_keys(jsonb_build_object('a', 1, 'x', {ints})) {alias}(v)", "text"),
            ("generate_subscripts({ints}, 1) {alias}(v)", "int"),
        )
        text = text.replace("{{}}", "{ }").replace("{alias}", alias)
        return self.fill("relation", text, values, 1), list(zip((f"{alias}.v", f"{alias}.n"), kinds.split()))

    def joined(self, count, around):
        """FROM's text, and the scope of what is in it."""
        source, columns = self.relation(Scope([], around.columns + around.outer, around.depth + 1))
        for step in range(count - 1):
            outer = around.columns + around.outer
            kind = self.choose(" JOIN ", " JOIN ", " LEFT JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " CROSS JOIN ")
            # Only what is joined from the left may read what is left of it.
            lateral = columns if kind in (" JOIN ", " LEFT JOIN ", " CROSS JOIN ") else []
            other, more = self.relation(Scope(lateral, outer, around.depth + 1))
            if kind == " CROSS JOIN ":
                source = Node("from", source, kind, other)
            else:
                shared = self.choose("int", "int", "int", "text", "date")
                pair = self.column(shared, Scope(columns)), self.column(shared, Scope(more))
                pair = pair if all(pair) else (self.column("int", Scope(columns)), self.column("int", Scope(more)))
                equal = Node("bool", pair[0], " = ", pair[1]) if all(pair) else Node("bool", "true")
                conditions = [equal]
                if kind != " FULL JOIN " and self.chance(0.4):
                    conditions.append(self.expression("bool", Scope(columns + more, outer, 2), 1))
                if step > 0 and self.chance(0.2):
                    source = Node("from", "(", source, ")")
                source = Node("from", source, kind, other, " ON ", many(conditions, " AND "))
            columns = columns + more
        return Node("from", source), Scope(columns, around.columns + around.outer, around.depth)

    def where(self, scope, size=2, share=0.7):
        if not self.chance(share):
            return ""
        conditions = [self.expression("bool", scope, size) for _ in range(self.choose(1, 1, 2, 3))]
        return maybe(" WHERE ", many(conditions, " AND "))

    # Queries ----------------------------------------------------------------------------------------------------

    def query(self, kinds, scope):
        """A query whose columns are c0, c1, … of these kinds, in no order that matters."""
        shape = "query " + " ".join(kinds)
        draw = self.random.random()
        if draw < 0.12 and scope.depth < 2:
            sides = [self.query(kinds, Scope([], scope.columns + scope.outer, scope.depth + 1)) for _ in range(2)]
            operator = self.choose(" UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", " INTERSECT ALL ", " EXCEPT ALL ")
            return Node(shape, "(", sides[0], ")", operator, "(", sides[1], ")")
        if draw < 0.2 and scope.depth < 2:
            return self.with_named(kinds, scope, shape)
        source, inner = self.joined(self.choose(1, 1, 2, 2, 3) if scope.depth else self.choose(1, 2, 2, 3, 3, 4), scope)
        where = self.where(inner)
        if draw < 0.45:
            return self.grouped(kinds, inner, source, where, shape)
        items = []
        for number, kind in enumerate(kinds):
            windowed = kind in WINDOWS and self.chance(0.15)
            value = self.fill(kind, self.random.choice(WINDOWS[kind]), inner, 1) if windowed else self.expression(kind, inner)
            items.append(Node("item", value, f" AS c{number}"))
        names = ", ".join(f"c{number}" for number in range(len(kinds)))
        parts = ["SELECT ", self.choose("", "", "", "DISTINCT "), many(items), " FROM ", source, where]
        if draw > 0.85:
            order = self.choose(names, names.replace("c0", "c0 DESC"), names.replace("c0", "c0 NULLS FIRST"))
            limit = self.choose(" LIMIT 3", " LIMIT 5 OFFSET 2", " FETCH FIRST 2 ROWS WITH TIES", " OFFSET 1", " LIMIT 1")
            parts.append(maybe(f" ORDER BY {order}{limit}"))
        elif draw > 0.82:
            parts[1] = "DISTINCT ON (c0) "
            parts.append(f" ORDER BY {names}")
        return Node(shape, *parts)

    def grouped(self, kinds, scope, source, where, shape):
        columns = [column for column, kind in scope.columns if kind not in ("jsonb",)]
        keys = self.random.sample(columns, min(len(columns), self.choose(0, 1, 1, 2, 3)))
        own = dict(scope.columns)
        items = []
        for number, kind in enumerate(kinds):
            fitting = [key for key in keys if own[key] == kind]
            if fitting and self.chance(0.6):
                value = self.expression(kind, Scope([(key, own[key]) for key in keys], (), 2), self.choose(0, 0, 1))
            elif kind == "int" and keys and self.chance(0.1):
                value = Node("int", f"grouping({keys[0]})")
            else:
                value = self.aggregate(kind, scope)
            items.append(Node("item", value, f" AS c{number}"))
        parts = ["SELECT ", many(items), " FROM ", source, where]
        if keys:
            listed = ", ".join(keys)
            form = self.choose(*[f" GROUP BY {listed}"] * 5, f" GROUP BY ROLLUP ({listed})", f" GROUP BY CUBE ({listed})",
                               f" GROUP BY GROUPING SETS (({listed}), ())", f" GROUP BY {keys[0]}, ROLLUP ({listed})",
                               f" GROUP BY GROUPING SETS ({listed})")
            parts.append(maybe(form))
        if self.chance(0.25):
            parts.append(maybe(" HAVING ", self.fill("bool", self.choose("count(*) > {small}", "sum({int}) < 20", "max({text}) > 'k0'", "bool_or({bool})"), scope, 1)))
        return Node(shape, *parts)

    def with_named(self, kinds, scope, shape):
        before, lists = list(self.named), []
        recursive = self.chance(0.25)
        for _ in range(self.choose(1, 1, 2)):
            name = self.alias()
            own = [self.choose("int", "int", "text", "num") for _ in range(self.choose(1, 2))]
            body = self.query(own, Scope([], (), scope.depth + 1))
            lists.append(Node("named", name, " AS ", self.choose("", "MATERIALIZED ", "NOT MATERIALIZED "), "(", body, ")"))
            self.named.append((name, [(f"c{number}", kind) for number, kind in enumerate(own)]))
        if recursive:
            name = self.alias()
            start, step = self.query(["int"], Scope([], (), 2)), self.random.randrange(1, 4)
            table = self.random.choice(self.tables)
            ends = f"n < {self.random.randrange(5)}"
            steps = self.choose(
                f"UNION SELECT {name}.c0 + {step}, n + 1 FROM {name} WHERE {ends}",
                f"UNION ALL SELECT {name}.c0 + {step}, n + 1 FROM {name} WHERE {ends}",
                f"UNION SELECT t.{table.columns[1][0]}, n + 1 FROM {name} JOIN {table.name} t ON t.id = {name}.c0 WHERE {ends}",
                f"UNION SELECT t.id, n + 1 FROM {table.name} t, {name} WHERE t.{table.columns[1][0]} = {name}.c0 AND {ends}",
                f"UNION SELECT v, n + 1 FROM {name}, LATERAL (SELECT c0 + g FROM generate_series(1, {step}) g) s(v) WHERE {ends}",
                f"UNION SELECT c0 - {step}, n + 1 FROM {name} WHERE {ends} AND EXISTS (SELECT FROM {table.name} t WHERE t.id = {name}.c0)",
            )
            lists.append(Node("named", name, "(c0, n) AS (SELECT c0, 0 FROM (", start, f") s {steps})"))
            self.named.append((name, [("c0", "int"), ("n", "int")]))
        body = self.query(kinds, Scope([], scope.columns + scope.outer, scope.depth + 1))
        if str(body).startswith(("WITH", "(WITH")):
            body = Node(shape, "SELECT * FROM (", body, ") w")
        self.named = before
        return Node(shape, "WITH RECURSIVE " if recursive else "WITH ", many(lists), " ", body)

    # Statements -------------------------------------------------------------------------------------------------

    def select(self):
        kinds = [self.choose("int", "int", "int", "text", "text", "num", "date", "bool", "ints", "jsonb", "time") for _ in range(self.choose(1, 2, 3, 4))]
        return self.query(kinds, Scope([]))

    def change(self):
        """A statement that changes a table, and the table's name."""
        table = self.random.choice(self.tables)
        own = [(column, kind) for column, kind, _ in table.columns]
        scope = Scope([(f"t.{column}", kind) for column, kind in own], (), 1)
        returning = maybe(" RETURNING ", many([self.expression(self.choose("int", "text", "bool"), scope, 1) for _ in range(2)])) if self.chance(0.5) else ""
        changed = self.random.sample(own[1:], self.choose(1, 1, 2))

        def sets(scope):
            return many([Node("set", f"{column} = ", self.expression(kind, scope, 1)) for column, kind in changed])

        draw = self.random.randrange(7)
        if draw <= 1:
            # New keys, or those of rows that are there, one by one.
            columns = ["id"] + [column for column, _ in changed]
            kinds = ["int"] + [kind for _, kind in changed]
            base = 1000 if self.chance(0.5) else 0
            rows = [Node("row", f"({base + number}, ", many([self.expression(kind, Scope([], (), 1), 1) for kind in kinds[1:]]), ")")
                    for number in self.random.sample(range(30), self.choose(1, 2, 5))]
            conflict = ""
            if table.columns[0][2] == " PRIMARY KEY" and self.chance(0.7):
                both = Scope(scope.columns + [(f"excluded.{column}", kind) for column, kind in own], (), 1)
                conflict = self.choose(maybe(" ON CONFLICT DO NOTHING"), maybe(" ON CONFLICT (id) DO NOTHING"),
                                       maybe(" ON CONFLICT (id) DO UPDATE SET ", sets(both), self.where(both, 1, 0.4)))
            return Node("change", f"INSERT INTO {table.name} AS t ({', '.join(columns)}) VALUES ", many(rows), conflict, returning), table.name
        if draw == 2:
            query = self.query([kind for _, kind in changed], Scope([], (), 1))
            body = f"INSERT INTO {table.name} AS t (id, {', '.join(column for column, _ in changed)}) SELECT 1000 + row_number() OVER (ORDER BY s.*), s.* FROM ("
            return Node("change", body, query, ") s", returning), table.name
        if draw == 3:
            return Node("change", f"UPDATE {table.name} t SET ", sets(scope), self.where(scope, 1, 0.8), returning), table.name
        if draw == 4:
            source, inner = self.joined(1, Scope([], (), 1))
            once = Node("relation", "(SELECT DISTINCT ON (k) * FROM (SELECT ", self.expression("int", inner, 0), " AS k, ",
                        self.expression("int", inner, 1), " AS v FROM ", source, ") i ORDER BY k, v) s")
            both = Scope(scope.columns + [("s.k", "int"), ("s.v", "int")], (), 1)
            if self.chance(0.5):
                return Node("change", f"UPDATE {table.name} t SET ", sets(both), " FROM ", once, " WHERE t.id = s.k AND ",
                            self.expression("bool", both, 1), returning), table.name
            whens = [maybe(" WHEN MATCHED AND ", self.expression("bool", both, 1), " THEN DELETE"), maybe(" WHEN MATCHED THEN UPDATE SET ", sets(both)),
                     maybe(f" WHEN NOT MATCHED THEN INSERT (id, {changed[0][0]}) VALUES (s.k + 2000, ", self.expression(changed[0][1], Scope([("s.k", "int"), ("s.v", "int")], (), 1), 1), ")")]
            return Node("change", f"MERGE INTO {table.name} t USING ", once, " ON t.id = s.k", *whens), table.name
        if draw == 5:
            return Node("change", f"DELETE FROM {table.name} t", self.where(scope, 1, 0.9), returning), table.name
        source, inner = self.joined(1, Scope([], (), 1))
        both = Scope(scope.columns + inner.columns, (), 1)
        key = self.column("int", inner) or "1"
        return Node("change", f"DELETE FROM {table.name} t USING ", source, " WHERE t.id = ", key, " AND ", self.expression("bool", both, 1)), table.name

    def evaluation(self):
        """An expression of literals alone, which may fail."""
        kind = self.random.choice(KINDS)
        return Node("query", "SELECT ", self.fill(kind, self.random.choice(TEMPLATES[kind]), Scope([], (), 2), 3))
