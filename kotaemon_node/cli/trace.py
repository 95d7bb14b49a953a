"""``trace``: shows the audit record of a turn."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import out
from kotaemon_node.cli.service import DataOption, KeyOption, UrlOption
from kotaemon_node.local import places

_DATA = places.data_folder()


def trace(
    trace_id: Annotated[str, typer.Argument(help="As X-Trace-ID and trace_id tell it.")],
    *,
    turn_id: Annotated[str, typer.Option(help="Which turn, where several have it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The whole record.")] = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Show by what an answer came to be: question, passages, prompt, times, pods."""
    place = service.place_of(url, data, key)
    query = {"turn_id": turn_id} if turn_id else {}
    record = service.get(place, f"/v1/traces/{trace_id}", query=query)
    if as_json:
        out.print_json(data=record)
        return
    for name, value in _heads(record):
        out.print(Text.assemble((f"{name:<12}", "bold"), str(value)), soft_wrap=True)
    out.print()
    out.print(_passages(record))
    for message in record["prompt"] or ():
        out.print()
        out.print(Text(message["role"], "bold"))
        out.print(Text(message["content"]), soft_wrap=True)
    out.print()
    out.print(Text("answer", "bold"))
    out.print(Text(record["answer"]), soft_wrap=True)


def _heads(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    asked, profile, known = record["asked"], record["profile"], record["knowledge"]
    times = [f"{name} {seconds:g} s" for name, seconds in record["timings"].items()]
    phases = [f"{one['phase']} at {one['latency']:g} s" for one in record["phases"]]
    rows = [
        ("turn", f"{record['session_id']} / {record['turn_id']}, {record['state']}"),
        ("message", record["message"]),
        ("searched", asked.get("search", "")),
        ("profile", f"{profile.get('name', '')} {profile.get('fingerprint', '')}"),
        ("knowledge", f"{known['kb']}, generation {known['generation']}" if known else ""),
        ("times", ", ".join(times + phases)),
        ("pods", f"{' → '.join(record['pods'])} ({record['attempts']} attempts)"),
        ("usage", ", ".join(f"{name} {value}" for name, value in record["usage"].items())),
        ("degraded", record["degraded"] or ""),
        ("error", (record["error"] or {}).get("message", "")),
        ("other turns", ", ".join(one["turn_id"] for one in record["turns"][1:])),
    ]
    return [row for row in rows if row[1]]


def _passages(record: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("n", justify="right")
    table.add_column("passage")
    for heading in ("score", "contrast", "words", "coverage"):
        table.add_column(heading, justify="right")
    table.add_column("cited")
    for passage in record["passages"]:
        scores = passage["scores"]
        names = ("score", "contrast", "lexical", "coverage")
        table.add_row(
            str(passage["n"]),
            Text(f"{passage['document']} {passage['span'][0]}-{passage['span'][1]}"),
            *(_number(scores.get(name)) for name in names),
            "yes" if passage["id"] in record["cited"] else "",
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
