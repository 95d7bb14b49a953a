"""``kotaemon sessions``: the conversations of whoever asks."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.chat_showing import show_sources
from kotaemon_node.cli.chat_words import words_for
from kotaemon_node.cli.console import err, harmless, out, print_list
from kotaemon_node.cli.service import DataOption, JsonOption, KeyOption, UrlOption
from kotaemon_node.local import places

app = typer.Typer(no_args_is_help=True, help="Conversations: list, read, delete.")

_DATA = places.data_folder()
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="As `kotaemon sessions list` shows it.")
]


@app.command("list")
def list_sessions(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="How many at most.")] = 20,
    everybody: Annotated[
        bool, typer.Option("--all", help="Of the whole tenant; for agents and administrators.")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """List sessions, those used last first."""
    query: dict[str, str | int] = {"limit": limit} | ({"all": "true"} if everybody else {})
    found = service.get(service.place_of(url, data, key), "/v1/sessions", query=query)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("session", "last used", "turns", "begins with"):
        table.add_column(heading, justify="right" if heading == "turns" else "left")
    for row in found["sessions"]:
        table.add_row(
            row["session_id"], _moment(row["active_at"]), str(row["version"]),
            Text(harmless(row["title"])),
        )  # fmt: skip
    print_list(table, shorten=[3]) if table.rows else err.print("There are no sessions yet.")
    if found["next_offset"] is not None:
        err.print(Text("There are more; --limit shows them.", "dim"))


@app.command()
def show(
    session_id: IdArgument,
    *,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Print a conversation: what was asked, answered and cited."""
    place = service.place_of(url, data, key)
    found = service.get(place, f"/v1/sessions/{quote(session_id, safe='')}")
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for turn in found["turns"]:
        _show(turn)
    if not found["turns"]:
        err.print("Nothing was said in it yet.")


@app.command()
def delete(
    session_id: IdArgument,
    *,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Remove a session everywhere."""
    place = service.place_of(url, data, key)
    service.ask(place, "DELETE", f"/v1/sessions/{quote(session_id, safe='')}")
    err.print(f"Session {session_id} is gone.", soft_wrap=True)


def _show(turn: dict[str, Any]) -> None:
    who = turn.get("name") or turn.get("author") or ""
    if turn["message"]:
        out.print(
            Text.assemble(("› ", "bold"), (harmless(turn["message"]), "bold")), soft_wrap=True
        )
    if who:
        out.print(Text(harmless(f"{who}:"), "dim"))
    answer = harmless(turn["answer"])
    if out.is_terminal:
        out.print(Markdown(answer, hyperlinks=False))
    else:
        out.print(Text(answer), soft_wrap=True)
    show_sources(out, turn["sources"], words=words_for(None), rule=False)
    if turn["state"] != "done":
        out.print(Text(f"({turn['state']})", "yellow"))
    out.print()


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC).astimezone():%Y-%m-%d %H:%M}"
