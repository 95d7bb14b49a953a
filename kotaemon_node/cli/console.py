"""What the commands print, and where: results to stdout, everything else to stderr."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kotaemon_node.local.table import Row

# No highlighting: a pid or an address is not louder than the words around it.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(message: str, *, process: str = "", log_lines: Sequence[str] = ()) -> None:
    """Print what went wrong, below the last lines that the process wrote."""
    if log_lines:
        err.print(f"[dim]Last lines of {process}:[/]")
        for line in log_lines:
            err.print(Text(f"  {line}", style="dim"), soft_wrap=True)
    err.print(Text.assemble(("kotaemon: ", "bold red"), message), soft_wrap=True)


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
