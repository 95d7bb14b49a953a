"""Shows the data keys of a cluster: what each does, and whether it is needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from kotaemon_node.cli.console import err
from kotaemon_node.cli.encryption_uses import Told, droppable, replaced_ms
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.key_uses import KeyUses

_WORDS = {True: "nothing needs it", False: "needed"}


@contextmanager
def looking() -> Iterator[Told]:
    """Show how many values were looked at."""
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} values"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda count: progress.advance(task, count)


def rows_of(
    tables: Mapping[str, DataKeyTable], uses: KeyUses | None, *, now_s: float
) -> Mapping[str, Any]:
    """Return what ``--json`` prints; ``uses`` None: nobody looked."""
    return {
        tenant: {
            "keys": [_row(table, row.id, uses, now_s=now_s) for row in table.by_age()],
            "destroyed": sorted(table.destroyed),
        }
        for tenant, table in tables.items()
    }


def _row(table: DataKeyTable, key_id: str, uses: KeyUses | None, *, now_s: float) -> dict[str, Any]:
    row, gave_way_ms = table.rows[key_id], replaced_ms(table, key_id)
    said: dict[str, Any] = {
        "id": key_id,
        "made_ms": row.made_ms,
        "master": row.master,
        "state": "seals" if gave_way_ms is None else "opens",
        "replaced_ms": gave_way_ms,
    }
    if uses is not None:
        found = uses.uses[key_id]
        said |= {
            "uses": dict(found.values),
            "examples": list(found.examples),
            "droppable": droppable(table, key_id, uses, now_s=now_s),
        }
    return said


def keys_table(rows: Mapping[str, Any], masters: Sequence[str]) -> Table:
    """Return them as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("tenant", "key", "made", "replaced", "wrapped by", "", "sealed with it"):
        table.add_column(heading)
    for tenant, keys in rows.items():
        for key in keys["keys"]:
            known = "" if key["master"] in masters else "unknown here"
            state = known or key["state"]
            if not known and "droppable" in key and key["state"] == "opens":
                state = _WORDS[key["droppable"]]
            uses = ", ".join(f"{count} in {where}" for where, count in key.get("uses", {}).items())
            cells = (_time(key["made_ms"]), _time(key["replaced_ms"]), key["master"], state, uses)
            table.add_row(tenant, key["id"], *cells)
    return table


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
