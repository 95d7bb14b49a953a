"""``status``: the pods, what they serve and whether they agree; ``--watch`` keeps looking."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import out
from kotaemon_node.cli.service import (
    DataOption,
    JsonOption,
    KeyOption,
    Place,
    ServiceError,
    UrlOption,
)
from kotaemon_node.local import places

_DATA = places.data_folder()
_KNOWLEDGE_S: Final = 5.0
"""Knowledge is asked for less often than pods: a request for each base."""


def status(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.2, max=60, help="Seconds between two looks.")
    ] = 1.0,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Show the pods, the knowledge they serve, and whether they agree."""
    look = _Look(service.place_of(url, data, key))
    if not watch:
        found = look.now()
        print(json.dumps(found, indent=2, ensure_ascii=False)) if as_json else out.print(
            _shown(found)
        )
        return
    try:
        _watch(look, every, as_json=as_json)
    except KeyboardInterrupt:
        return


class _Look:
    """Asks the cluster how it is; what was known of its knowledge is used for a while."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._knowledge: Sequence[Mapping[str, Any]] = ()
        self._asked_at = 0.0

    def now(self) -> dict[str, Any]:
        """Return the cluster as it tells of itself, and a row for each knowledge base."""
        cluster: dict[str, Any] = service.get(self._place, "/v1/cluster")
        now = time.monotonic()
        if not self._knowledge or now - self._asked_at > _KNOWLEDGE_S:
            self._knowledge = [self._base(row["kb"]) for row in cluster["knowledge"]]
            self._asked_at = now
        return {"cluster": cluster, "knowledge": self._knowledge}

    def _base(self, kb: str) -> Mapping[str, Any]:
        known = service.get(self._place, f"/v1/knowledge/{kb}")
        queued = service.get(
            self._place, f"/v1/knowledge/{kb}/documents", query={"status": "queued"}
        )
        more = queued["next_offset"] is not None
        return {**known, "queued": len(queued["documents"]), "more_queued": more}


def _watch(look: _Look, every_s: float, *, as_json: bool) -> None:
    if as_json or not out.is_terminal:
        while True:
            found = look.now()
            if as_json:
                print(json.dumps(found, ensure_ascii=False), flush=True)
            else:
                out.print(_shown(found))
            time.sleep(every_s)
    drawn: RenderableType = Text("Asking …", "dim")
    with Live(drawn, console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                drawn = _shown(look.now())
                live.update(Group(drawn, _line("Ctrl-C ends.")), refresh=True)
            except ServiceError as error:
                # The cluster may come back: what was seen last stays, with the reason below.
                live.update(Group(drawn, Text(str(error), "red")), refresh=True)
            time.sleep(every_s)


def _line(said: str) -> Text:
    return Text(f"{datetime.now(tz=UTC).astimezone():%H:%M:%S}  {said}", "dim")


def _shown(found: Mapping[str, Any]) -> RenderableType:
    cluster, knowledge = found["cluster"], found["knowledge"]
    agreed = "[green]they agree[/]" if cluster["converged"] else "[yellow]they differ[/]"
    pods = len(cluster["pods"])
    parts: list[RenderableType] = [_pods(cluster["pods"]), ""]
    if knowledge:
        parts += [_bases(knowledge), ""]
    noun = "pod" if pods == 1 else "pods"
    parts.append(Text.from_markup(f"{pods} {noun}; {agreed}"))
    return Group(*parts)


def _pods(pods: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("pod", "address", "ready", "running turns", "serves")
    # Only what a pod reports: an older one says less.
    more = [name for name in ("streams", "takeovers") if any(name in pod for pod in pods)]
    for name in more:
        table.add_column(name, justify="right")
    for pod in pods:
        generations = pod.get("generations", {})
        state = "[green]yes[/]" if pod.get("ready") else "[yellow]no[/]"
        table.add_row(
            str(pod.get("name", "")),
            str(pod.get("address", "")),
            state if not pod.get("draining") else "[yellow]leaving[/]",
            str(pod.get("running_turns", "")),
            ", ".join(f"{kb} {row['generation']}" for kb, row in sorted(generations.items())),
            *(str(pod.get(name, "")) for name in more),
        )
    return table


def _bases(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("knowledge base")
    for heading in ("generation", "documents", "failed", "queued", "passages"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["kb"],
            str(row["generation"]),
            str(row["documents"]),
            Text(str(row["failed"]), "red" if row["failed"] else ""),
            f"{row['queued']}{'+' if row['more_queued'] else ''}",
            str(row["passages"]),
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading)
    return table
