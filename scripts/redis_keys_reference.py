"""Writes docs/reference/redis-keys.md: ``python -m scripts.redis_keys_reference``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kotaemon_node.adapters.redis import keys, rights
from kotaemon_node.domain.events import TOPICS, TURN_LOG

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "redis-keys.md"

_ON_REDIS = (*TOPICS, TURN_LOG)
_ANY = {
    "digest of tid": "[0-9a-f]{10}",
    "key": "[^{}]+",  # a plugin's own
    "subject": "[^{}]+",
    "who": "[^{}:]*",  # empty: of the tenant
}
"""What may stand in the place of a word; any other is a name without colons."""
_HEAD = """\
# Redis keys

Every key of the product, for those who look into a Redis, size it, or copy it. This page is made
from the schema in `kotaemon_node/adapters/redis/keys.py` and the table of rights beside it, by
`python -m scripts.redis_keys_reference`. Keys are no interface: they change with versions ([upgrade
notes](../how-to/upgrade.md)); programs ask the [routes](routes.md) or read [events](events.md).

- `<tenant>`, `<sid>`, `<tid>`: a tenant, a session, a turn. All keys begin with `kn:`.
- **Braces** are part of the name. What stands in them decides on the slot of a Redis Cluster, so
  all keys of a session lie together, and one script changes them at once.
- **\\*** is sealed where there is a [master key](../how-to/encryption.md); **°** is a digest that
  is keyed then.
- **Lifetime** "session" is `SESSION_TTL_S` (48 h) since the last turn. "bounded": old entries go as
  new ones come; how many stay says [limits](limits.md). "-": it stays.
- **Worker**, **coordinator**, **backup**: what the [user](../how-to/least-rights.md) of that part
  may do, `r` read, `rw` read and write. The user `turn-log` reads and writes `kn:{bus}:turn_log`
  and reads `kn:{sealing:<tenant>}:keys`. Channels (pubsub) have rights of their own.
"""
_LOOKING = """\
## Look at them

<!-- not run: it wants a Redis of the reader; kotaemon sessions shows the same without -->
```sh
redis-cli --scan --pattern 'kn:default:{SESSION-ID}:*'
redis-cli HGETALL 'kn:default:{SESSION-ID}:meta'
redis-cli ZCARD kn:pods                       # pods that live, and some that lately did
redis-cli MEMORY USAGE 'kn:default:{SESSION-ID}:turns'
```

Reading harms nothing; `KEYS` and `MONITOR` on a busy Redis do. **Write nothing by hand**: scripts
count on what they wrote, and a changed history is told to clients as a loss (`gone`). Nothing may
be evicted: `maxmemory-policy noeviction`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One key of the schema."""

    key: str
    type: str
    holds: str
    lifetime: str


def rows() -> list[Row]:
    """Return the rows of the schema; lines that go on from the one above are joined to it."""
    found: list[list[str]] = []
    for line in (keys.__doc__ or "").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or line.startswith("|-") or cells[0] == "key":
            continue
        if cells[1]:
            found.append(cells)
        else:
            _go_on(found[-1], cells)
    return [Row(*cells) for cells in _spelled_out(found)]


def page() -> str:
    """Return the page."""
    table = [
        "| key | type | holds | lifetime | worker | coordinator | backup |",
        "|---|---|---|---|---|---|---|",
    ]
    table += [
        " | ".join(
            [f"| `{row.key}`", row.type, _shown(row.holds), row.lifetime, *_access(row)],
        )
        + " |"
        for row in rows()
    ]
    return "\n".join([_HEAD, *table, "", _LOOKING])


def row_of(key: str, kind: str) -> Row | None:
    """Return the row of a key that lies in a Redis as ``kind``; None: the schema has none."""
    fits = (row for row in rows() if row.type == kind and _pattern(row.key).fullmatch(key))
    return next(fits, None)


def _pattern(name: str) -> re.Pattern[str]:
    parts = re.split(r"<([^>]*)>", name)
    return re.compile(
        "".join(
            _ANY.get(part, "[^{}:]+") if at % 2 else re.escape(part)
            for at, part in enumerate(parts)
        )
    )


def _go_on(row: list[str], more: list[str]) -> None:
    """Add what stands in a line below a row to its cells."""
    if more[0].startswith("…"):  # another key, of which the same is held
        row[0] += f" {more[0]}"
        more = ["", *more[1:]]
    for place, cell in enumerate(more):
        # Names are cut where the column ends; sentences at a blank, and compounds behind a sign.
        glue = "" if place == 0 or row[place].endswith(("_", "/")) else " "
        row[place] += (glue + cell) if cell else ""


def _spelled_out(found: list[list[str]]) -> Iterator[list[str]]:
    """Yield a row for each key; ``… :part`` stands for the key before it with another end."""
    before = ""
    for cells in found:
        for name in re.split(r" (?=…)", cells[0]):
            before = before.rpartition(":")[0] + name[2:] if name.startswith("…") else name
            for topic in _ON_REDIS if "<topic>" in before else ("",):
                yield [before.replace("<topic>", topic), *cells[1:]]


def _shown(text: str) -> str:
    return text.replace("<", "&lt;")  # else a page takes it for an element


def _access(row: Row) -> list[str]:
    if row.type == "pubsub":
        return ["-"] * 3
    name = re.sub(r"<[^>]*>", "x", row.key.replace("<digest of tid>", "0123456789"))
    return [_of(role, name) or "-" for role in ("worker", "coordinator", "backup")]


def _of(role: rights.Role, key: str) -> str:
    for family in rights.FAMILIES:
        # Braces are letters in Redis's patterns, and in these.
        if any(fnmatchcase(key, pattern) for pattern in family.patterns):
            return family.access(role)
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
