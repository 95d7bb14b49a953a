"""What the commands print, and where: results to stdout, everything else to stderr."""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from kotaemon_node.local.table import Row

_WIDEST = 100_000
_SHORT_MIN = 12

# No highlighting: a pid or an address is not louder than the words around it. What is piped, or
# read by `kubectl exec` and `kubectl logs`, has no width: no cell of a table is cut there.
out = Console(highlight=False)
if not out.is_terminal:
    out.width = _WIDEST
err = Console(stderr=True, highlight=False)


# Without line breaks and tabs, which stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: object) -> str:
    """Return a text that came from elsewhere without what a terminal would obey."""
    return _CONTROLS.sub("", str(text))


def program() -> str:
    """Return how a person types this program where they stand: by its path, where it has to be."""
    called = sys.argv[0]
    found = shutil.which("kotaemon")
    as_module = Path(called).name != "kotaemon"
    return "kotaemon" if as_module or found == os.path.abspath(called) else quote(called)


def complain(message: str, *, process: str = "", log_lines: Sequence[str] = ()) -> None:
    """Print what went wrong, below the last lines that the process wrote."""
    if log_lines:
        err.print(f"[dim]Last lines of {process}:[/]")
        for line in log_lines:
            err.print(Text(f"  {line}", style="dim"), soft_wrap=True)
    err.print(Text.assemble(("kotaemon: ", "bold red"), harmless(message)), soft_wrap=True)


def print_list(table: Table, *, shorten: Sequence[int]) -> None:
    """Print a table of which no cell is cut but those of the columns ``shorten``.

    Those share what room the terminal leaves beside the others, which are ids: who copies one
    needs all of it. What is piped is not cut at all.
    """
    whole = out.options.update(max_width=_WIDEST)
    widths = [Measurement.get(out, whole, _rows_of(column)).maximum for column in table.columns]
    gaps = 2 * (len(widths) - 1)  # a space on each side
    if out.is_terminal:
        others = sum(width for at, width in enumerate(widths) if at not in shorten)
        room = max(_SHORT_MIN, (out.width - gaps - others) // len(shorten))
        for at in shorten:
            widths[at] = min(widths[at], room)
    for column, width in zip(table.columns, widths, strict=True):
        column.width, column.no_wrap, column.overflow = width, True, "ellipsis"
    table.width = sum(widths) + gaps
    out.print(table, crop=False, no_wrap=True, overflow="ignore")


def _rows_of(column: Column) -> Group:
    return Group(column.header, *column.cells)


def process_table(rows: Sequence[Row]) -> Table:
    """Return the table of ``kotaemon ps``."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name")
    table.add_column("pid", justify="right")
    table.add_column("port", justify="right")
    table.add_column("ready")
    for row in rows:
        ready = "[green]yes[/]" if row.ready else "[yellow]no[/]"
        table.add_row(
            row.name,
            str(row.pid) if row.pid else "-",
            str(row.port),
            ready if row.pid else "[red]down[/]",
        )
    return table
