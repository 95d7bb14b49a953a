"""``kotaemon faq``: questions with the answers that people gave them."""

import json
import secrets
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err, harmless, print_list
from kotaemon_node.cli.knowledge import KbOption
from kotaemon_node.cli.orders import WaitOption, finished
from kotaemon_node.cli.service import DataOption, JsonOption, KeyOption, UrlOption
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.local import places

app = typer.Typer(no_args_is_help=True, help="FAQ entries: list, add, remove.")

_DATA = places.data_folder()


@app.command("list")
def list_entries(
    words: Annotated[str, typer.Argument(help="Only those of these words.")] = "",
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """List FAQ entries, those changed last first."""
    query: dict[str, str | int] = {"kb": kb, "limit": 200}
    if words:
        query["q"] = words
    found = service.get(service.place_of(url, data, key), "/v1/faq", query=query)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "question", "answer", "state"):
        table.add_column(heading)
    for row in found["entries"]:
        colour = {"live": "green", "failed": "red"}.get(row["state"], "yellow")
        table.add_row(
            row["id"], Text(_line(row["question"])), Text(_line(row["answer"])),
            Text(row["state"], colour),
        )  # fmt: skip
    print_list(table, shorten=[1, 2]) if table.rows else err.print("There are none.")


@app.command()
def add(
    question: Annotated[str, typer.Argument(help="As people ask it.")],
    answer: Annotated[str, typer.Argument(help="What they are told, word for word.")],
    *,
    entry_id: Annotated[
        str, typer.Option("--id", help="Of an entry to replace; by default a new one.")
    ] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", help="May be repeated.")] = None,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    wait: WaitOption = True,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Answer a question for everybody, at once when the generation with it is served."""
    place = service.place_of(url, data, key)
    wanted = entry_id or f"cli-{secrets.token_hex(6)}"
    body = {"question": question, "answer": answer, "tags": tags or []}
    path = f"/v1/faq/{quote(wanted, safe='')}?kb={quote(kb, safe='')}"
    ordered = service.ask(place, "PUT", path, body=body)
    finished(place, ordered, wait=wait)
    if as_json:
        print(json.dumps(ordered, indent=2, ensure_ascii=False))
    else:
        err.print(f"[green]✓[/] entry {wanted}", soft_wrap=True)


@app.command()
def remove(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="As `kotaemon faq list` shows it.")],
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    wait: WaitOption = True,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Remove an FAQ entry."""
    place = service.place_of(url, data, key)
    path = f"/v1/faq/{quote(entry_id, safe='')}"
    finished(place, service.ask(place, "DELETE", path, query={"kb": kb}), wait=wait)
    err.print(f"[green]✓[/] entry {entry_id} is gone", soft_wrap=True)


def _line(text: str) -> str:
    return " ".join(harmless(text).split())
