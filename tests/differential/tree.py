"""SQL as trees that can be cut, and the cutting: what is left of a text of which something is to stay true.

A node has a kind and parts, which are strings and nodes. Cutting tries, from the root down: to leave out what is
optional, to leave out members of lists (halves first), to put a node of the same kind from further down in a node's
place, and to put the simplest text of its kind there. It knows nothing of SQL's rules: what is no longer valid fails on
both servers alike, so it is not what was looked for.
"""

# The simplest texts of each kind.
SIMPLEST = {
    "int": ["1", "NULL::int"],
    "num": ["1.5", "NULL::numeric"],
    "text": ["'k1'", "NULL::text"],
    "bool": ["true", "false", "NULL::boolean"],
    "date": ["date '2020-01-31'", "NULL::date"],
    "ints": ["'{1,2}'::int[]", "NULL::int[]"],
    "jsonb": ["'{\"a\": 1}'::jsonb", "NULL::jsonb"],
    "time": ["timestamp '2020-01-31 10:00'", "NULL::timestamp"],
}


class Node:
    """Parts one after the other; a list's are divided by `separator`, and at least `least` of them stay."""

    __slots__ = ("kind", "parts", "optional", "separator", "least")

    def __init__(self, kind, *parts, optional=False, separator=None, least=1):
        self.kind, self.parts = kind, list(parts)
        self.optional, self.separator, self.least = optional, separator, least

    def __str__(self):
        return (self.separator or "").join(map(str, self.parts))

    def with_parts(self, parts):
        return Node(self.kind, *parts, optional=self.optional, separator=self.separator, least=self.least)

    def below(self):
        """All nodes under it, the upper ones first."""
        level = [part for part in self.parts if isinstance(part, Node)]
        while level:
            yield from level
            level = [part for node in level for part in node.parts if isinstance(part, Node)]


def maybe(*parts):
    """What may be left out."""
    return Node("maybe", *parts, optional=True)


def many(items, separator=", ", least=1):
    """A list of which members may be left out."""
    return Node("many", *items, separator=separator, least=least)


def without_chunks(items, least):
    """The list without some of its members: large chunks first."""
    size = len(items) - least
    while size > 0:
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size:]
            if len(rest) >= least:
                yield rest
        size //= 2


def smaller(node):
    """What may stand in a node's place."""
    if node.optional and node.parts:
        yield node.with_parts([])
    if node.separator is not None:
        for rest in without_chunks(node.parts, node.least):
            yield node.with_parts(rest)
    text = str(node)
    for found in node.below():
        if found.kind == node.kind and node.kind not in ("maybe", "many") and len(str(found)) < len(text):
            yield found
    for simple in SIMPLEST.get(node.kind, []):
        if len(simple) < len(text) and text not in SIMPLEST[node.kind]:
            yield Node(node.kind, simple)


def cut(root, holds):
    """Cuts a tree for as long as `holds(tree)` says that what is left is still what was looked for."""

    def at(node, replace):
        """Tries what may stand in this node's place, then goes on below; `replace` gives the whole tree."""
        progress = True
        while progress:
            progress = False
            for other in smaller(node):
                if holds(replace(other)):
                    node, progress = other, True
                    break
        for index, part in enumerate(node.parts):
            if isinstance(part, Node):
                parts = list(node.parts)

                def replaced(other, parts=parts, index=index, node=node):
                    return replace(node.with_parts(parts[:index] + [other] + parts[index + 1:]))

                parts[index] = at(part, replaced)
                node = node.with_parts(parts)
        return node

    while True:
        before = str(root)
        root = at(root, lambda tree: tree)
        if str(root) == before:
            return root
