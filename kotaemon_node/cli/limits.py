"""``limits``: what one may use and has used; and whether a file of limits is right."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from kotaemon_node.adapters.system.limits_file import read_limits
from kotaemon_node.cli import service
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.service import DataOption, JsonOption, KeyOption, ServiceError, UrlOption
from kotaemon_node.local import places

_DATA = places.data_folder()


def limits(
    *,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check", metavar="FILE", help="Only look whether this LIMITS_FILE is right."
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Show your limits and your tenant's, and what is used of them."""
    if check is not None:
        _check(check)
        return
    found = service.get(service.place_of(url, data, key), "/v1/limits")
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    if not found["limits"]:
        err.print("Nothing is limited for you.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("limit", "of", "used", "at most", "within"):
        table.add_column(heading, justify="right" if heading in {"used", "at most"} else "left")
    for row in found["limits"]:
        table.add_row(*_cells(row, found))
    out.print(table)


def _cells(row: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    whose = found["subject"] if row["scope"] == "principal" else f"tenant {found['tenant']}"
    window = {None: "at once", 60: "a minute", 86_400: "a day (UTC)"}[row["window_s"]]
    return (
        row["name"].replace("_", " "), whose, f"{row['used']:,g}", f"{row['limit']:,g}", window,
    )  # fmt: skip


def _check(path: Path) -> None:
    try:
        read_limits(path)
    except (OSError, ValueError) as error:
        raise ServiceError(str(error)) from error
    out.print(f"{path} is right.")
