"""``search``: the passages that fit a question best."""

import json
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.chat_showing import source_line
from kotaemon_node.cli.console import err, harmless, out
from kotaemon_node.cli.service import DataOption, JsonOption, KeyOption, UrlOption
from kotaemon_node.local import places

_DATA = places.data_folder()
_EXCERPT_CHARS = 300


def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    kb: Annotated[str, typer.Option("--kb", help="Knowledge base.")] = "default",
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=50, help="How many.")] = 4,
    *,
    as_json: JsonOption = False,
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
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for number, passage in enumerate(found["passages"], start=1):
        line = source_line(number, passage)
        line.append(f"  {passage['score']:.3f}", "dim")
        out.print(line, soft_wrap=True)
        text = " ".join(harmless(passage["text"]).split())
        short = text if len(text) <= _EXCERPT_CHARS else text[:_EXCERPT_CHARS] + "…"
        out.print(Padding(Text(short), (0, 0, 0, 4), expand=False))
    if not found["passages"]:
        err.print("Nothing fits.")
