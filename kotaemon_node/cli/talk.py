"""``status``, ``search`` and ``chat``: asks a running cluster from the terminal."""

import secrets
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.service import DataOption, KeyOption, Place, UrlOption
from kotaemon_node.cli.turn_stream import TurnStream
from kotaemon_node.local import places

_DATA = places.data_folder()
_EXCERPT_CHARS = 300


def status(data: DataOption = _DATA, url: UrlOption = "", key: KeyOption = "") -> None:
    """Show the pods, the knowledge they serve, and whether they agree."""
    place = service.place_of(url, data, key)
    cluster = service.get(place, "/v1/cluster")
    pods = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("pod", "address", "ready", "running turns", "serves"):
        pods.add_column(heading)
    for pod in cluster["pods"]:
        generations = pod.get("generations", {})
        pods.add_row(
            str(pod.get("name", "")),
            str(pod.get("address", "")),
            "[green]yes[/]" if pod.get("ready") else "[yellow]no[/]",
            str(pod.get("running_turns", "")),
            ", ".join(f"{kb} {row['generation']}" for kb, row in sorted(generations.items())),
        )
    out.print(pods)
    out.print()
    out.print(_knowledge(place, cluster["pods"]))
    out.print()
    agreed = "[green]they agree[/]" if cluster["converged"] else "[yellow]they differ[/]"
    out.print(f"{len(cluster['pods'])} pods; {agreed}")


def _knowledge(place: Place, pods: list[dict[str, Any]]) -> Table:
    """Return what each knowledge base holds, as a pod serves it that is asked now."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("knowledge base")
    for heading in ("generation", "documents", "failed", "queued", "passages"):
        table.add_column(heading, justify="right")
    for kb in sorted({kb for pod in pods for kb in pod.get("generations", {})}):
        known = service.get(place, f"/v1/knowledge/{kb}")
        queued = service.get(place, f"/v1/knowledge/{kb}/documents", query={"status": "queued"})
        more = "+" if queued["next_offset"] is not None else ""
        table.add_row(
            kb,
            str(known["generation"]),
            str(known["documents"]),
            Text(str(known["failed"]), "red" if known["failed"] else ""),
            f"{len(queued['documents'])}{more}",
            str(known["passages"]),
        )
    return table


def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    kb: Annotated[str, typer.Option("--kb", help="Knowledge base.")] = "default",
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=50)] = 4,
    *,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Show the passages that fit a question best."""
    found = service.get(
        service.place_of(url, data, key),
        "/v1/search",
        query={"q": question, "kb": kb, "top_k": top_k},
    )
    for number, passage in enumerate(found["passages"], start=1):
        out.print(_source_line(number, passage), soft_wrap=True)
        text = " ".join(str(passage["text"]).split())
        out.print(Text(f"    {text[:_EXCERPT_CHARS]}"))
    if not found["passages"]:
        err.print("Nothing fits.")


def chat(
    question: Annotated[
        str | None, typer.Argument(help="Ask this and end; without it, a conversation.")
    ] = None,
    session: Annotated[str, typer.Option("--session", help="Go on in this session.")] = "",
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Ask questions; answers come as they are written, with their sources below."""
    place = service.place_of(url, data, key)
    session_id = session or service.new_session(place)
    if question is not None:
        _ask(place, session_id=session_id, question=question)
        return
    err.print(f"[dim]Session {session_id}. An empty line or Ctrl-D ends.[/]")
    while line := _read_line():
        _ask(place, session_id=session_id, question=line)


def _read_line() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return ""


def _ask(place: Place, *, session_id: str, question: str) -> None:
    docs: list[dict[str, Any]] = []
    turn = TurnStream(
        place, session_id=session_id, turn_id=f"cli-{secrets.token_hex(8)}", message=question
    )
    for frame in turn:
        match frame["type"]:
            case "text":
                out.print(Text(frame["content"]), end="", soft_wrap=True)
            case "source":
                docs = frame["docs"]
            case "restart":
                out.print("\n[dim](the answer begins again)[/]")
            case "error":
                raise service.ServiceError(frame["message"])
            case _:
                pass  # status, tools and the end itself: the text is what matters here
    out.print()
    for doc in docs:
        out.print(_source_line(doc["n"], doc), style="dim", soft_wrap=True)


def _source_line(number: int, row: dict[str, Any]) -> Text:
    heading = row.get("heading") or ""
    # A search names the path of headings in parts, a source frame in one text.
    place = heading if isinstance(heading, str) else " › ".join(heading)
    title = row.get("title") or row["document"]
    return Text.assemble((f"[{number}] ", "bold"), f"{title}  {row['document']}  {place}")
