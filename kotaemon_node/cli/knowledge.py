"""``kotaemon knowledge``: the documents and generations of a knowledge base."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err, harmless, out
from kotaemon_node.cli.orders import WaitOption, finished
from kotaemon_node.cli.service import DataOption, JsonOption, KeyOption, UrlOption
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE
from kotaemon_node.local import places

app = typer.Typer(
    no_args_is_help=True,
    help="Documents and generations of a knowledge base; `kotaemon ingest` adds documents.",
)

_DATA = places.data_folder()
KbOption = Annotated[str, typer.Option("--kb", help="Knowledge base.")]


@app.command()
def documents(
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    status: Annotated[
        str, typer.Option("--status", help="Only those: queued, indexed or failed.")
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """List the documents, with the reason where one could not be read."""
    place = service.place_of(url, data, key)
    query: dict[str, str | int] = {"status": status} if status else {}
    path = f"/v1/knowledge/{quote(kb, safe='')}/documents"
    found = service.get(place, path, query=query)
    rows: list[dict[str, Any]] = list(found["documents"])
    while found["next_offset"] is not None:
        found = service.get(place, path, query={**query, "offset": found["next_offset"]})
        rows += found["documents"]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = _table("document", "status", "passages", "why")
    for row in rows:
        colour = {"failed": "red", "queued": "yellow"}.get(row["status"], "")
        table.add_row(
            Text(harmless(row["document"])),
            Text(row["status"], colour),
            str(row["passages"]),
            Text(harmless(row["reason"] or "")),
        )
    out.print(table) if rows else err.print("There are none.")


@app.command()
def generations(
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """List the generations that are kept, newest first."""
    place = service.place_of(url, data, key)
    found = service.get(place, f"/v1/knowledge/{quote(kb, safe='')}/generations")
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = _table("generation", "documents", "passages", "made", "")
    for row in found["generations"]:
        served = "[green]served[/]" if row["served"] else ""
        older = f"content of {row['rolled_back_to']}" if row["rolled_back_to"] else ""
        table.add_row(
            str(row["generation"]), str(row["documents"]), str(row["passages"]),
            row["created_at"], served or older,
        )  # fmt: skip
    out.print(table)


@app.command()
def rollback(
    generation: Annotated[int, typer.Argument(min=1, help="Whose content is to be served again.")],
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    wait: WaitOption = True,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Serve an older generation's content again; `publish` follows the folder once more."""
    place = service.place_of(url, data, key)
    path = f"/v1/knowledge/{quote(kb, safe='')}/rollback"
    ordered = service.ask(place, "POST", path, body={"generation": generation})
    _tell(finished(place, ordered, wait=wait), kb, as_json=as_json)


@app.command()
def publish(
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    force: Annotated[bool, typer.Option("--force", help="Past the publish gate.")] = False,
    wait: WaitOption = True,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Publish the folder as it is now: ends a rollback."""
    place = service.place_of(url, data, key)
    path = f"/v1/knowledge/{quote(kb, safe='')}/publish"
    ordered = service.ask(place, "POST", path, body={"force": force})
    _tell(finished(place, ordered, wait=wait), kb, as_json=as_json)


@app.command()
def remove(
    document: Annotated[str, typer.Argument(help="As `kotaemon knowledge documents` shows it.")],
    *,
    kb: KbOption = DEFAULT_KNOWLEDGE_BASE,
    purge: Annotated[
        bool, typer.Option("--purge", help="Every trace of it, in all generations.")
    ] = False,
    wait: WaitOption = True,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Remove a document: its file goes, and it is found no more."""
    place = service.place_of(url, data, key)
    path = f"/v1/knowledge/{quote(kb, safe='')}/documents/{quote(document)}"
    query: dict[str, str | int] = {"purge": "true"} if purge else {}
    ordered = service.ask(place, "DELETE", path, query=query)
    _tell(finished(place, ordered, wait=wait), kb, as_json=as_json)


def _tell(job: dict[str, Any], kb: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(job, indent=2, ensure_ascii=False))
    elif (made := job.get("result", {}).get("generation")) is not None:
        err.print(f"[green]✓[/] {kb} serves generation {made}.")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading)
    return table
