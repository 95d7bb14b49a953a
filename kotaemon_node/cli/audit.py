"""``kotaemon audit``: who did what, and the proof that nobody changed it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from kotaemon_node.audit_log.findings import MEANINGS, Verification
from kotaemon_node.audit_log.heads import SeenByChain
from kotaemon_node.audit_log.reading import AuditReader, Wanted
from kotaemon_node.audit_log.verifying import AuditVerifier
from kotaemon_node.cli.audit_lines import heads_of, verified_lines
from kotaemon_node.cli.audit_places import AuditPlace, audit_place
from kotaemon_node.cli.cluster import DataOption
from kotaemon_node.cli.console import err, harmless, out
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit_chain import Entry, read_line, written_time
from kotaemon_node.domain.audit_names import PREFIX, tenant_of
from kotaemon_node.domain.ids import DEFAULT_TENANT, is_id
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError

app = typer.Typer(help="Who did what, and the proof that nobody changed the log of it.")

_DATA = places.data_folder()
_BROKEN: Final = 1
_UNITS_S: Final = {"m": 60, "h": 3600, "d": 86_400, "y": 365 * 86_400}

TenantOption = Annotated[str, typer.Option("--tenant", help="Whose log.")]
SinceOption = Annotated[
    str, typer.Option("--since", help="From then on: 2026-05-01, 2026-05-01T10:00Z, 30m, 12h, 7d.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _audit() -> None:
    """Who did what, and the proof that nobody changed the log of it."""


@app.command()
def verify(
    tenant: Annotated[
        str, typer.Option("--tenant", help="Whose log.", show_default="all tenants")
    ] = "",
    *,
    since: SinceOption = "",
    lines: Annotated[
        str,
        typer.Option(
            "--lines",
            help="Verify the lines of this file (-: the input), which `audit export` printed. No"
            " cluster is asked; AUDIT_KEY_FILE names the keys that made them.",
        ),
    ] = "",
    heads: Annotated[
        list[Path],
        typer.Option(
            "--heads",
            help="Logs of processes: their lines audit_head say how far the log went. May be"
            " repeated.",
        ),
    ] = [],  # noqa: B006 - typer's
    as_json: JsonOption = False,
    data: DataOption = _DATA,
) -> None:
    """Verify the whole log: what is in the artifact store, then what is in Redis.

    Names each entry that was altered, removed, swapped or doubled, where the log was cut off, and
    each volume that is gone. Ends with 1 where anything is wrong.
    """
    begin = _time(since)
    seen = heads_of(heads)
    if lines:
        if tenant or since:
            raise LocalError("--lines verifies all lines of the file: leave out --tenant, --since.")
        found = verified_lines(lines, seen, data)
    else:
        with audit_place(data) as place:
            tenants = [tenant] if tenant else sorted({*_tenants(place), *seen})
            found = [_verified(place, one, begin, seen) for one in tenants]
    if as_json:
        print(json.dumps([_row(one) for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            _show(one, spans=bool(lines))
        if not found:
            err.print("There is no audit log; AUDIT_LOG=on keeps one.")
    if not all(one.whole for one in found):
        raise typer.Exit(_BROKEN)


@app.command("list")
def list_entries(
    tenant: TenantOption = DEFAULT_TENANT,
    *,
    action: Annotated[str, typer.Option(help="key.created, or key for all of keys.")] = "",
    outcome: Annotated[str, typer.Option(help="done, refused or failed.")] = "",
    subject: Annotated[str, typer.Option(help="Who did it.")] = "",
    target: Annotated[str, typer.Option(help="What it was done to.")] = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=100_000)] = 50,
    as_json: JsonOption = False,
    data: DataOption = _DATA,
) -> None:
    """List the newest entries."""
    wanted = Wanted(action, outcome, subject, target, since=_time(since))
    with audit_place(data) as place:
        reader = AuditReader(place.store, place.artifacts)
        entries = _newest(reader, tenant, wanted, limit)
    if as_json:
        print(json.dumps([entry.shown() for entry in entries], indent=2, ensure_ascii=False))
        return
    if not entries:
        err.print("There are no such entries. While AUDIT_LOG is off none are written.")
        return
    out.print(_table(entries))


@app.command()
def export(
    tenant: TenantOption = DEFAULT_TENANT,
    *,
    since: SinceOption = "",
    data: DataOption = _DATA,
) -> None:
    """Print all entries as JSON lines, the oldest first, with the hashes that prove them."""
    begin = _time(since)
    with audit_place(data) as place:
        for line in lines_from(AuditReader(place.store, place.artifacts).ascending(tenant), begin):
            print(line.decode("utf-8", "replace"))


def lines_from(lines: Iterable[bytes], begin: str) -> Iterator[bytes]:
    """Yield the lines from the first one of a time on, and all behind it.

    Processes' clocks differ: one that says that it is a moment older would be a gap, if left out.
    """
    begun = not begin
    for line in lines:
        begun = begun or _at(line) >= begin
        if begun:
            yield line


def _tenants(place: AuditPlace) -> Sequence[str]:
    """Return whose logs there are, also those that the store forgot."""
    archived = {tenant_of(name) for name in place.artifacts.list(PREFIX)}
    return sorted(name for name in archived | set(place.store.tenants()) if is_id(name))


def _verified(
    place: AuditPlace, tenant: str, since: str, heads: Mapping[str, SeenByChain]
) -> Verification:
    with _bar(tenant) as told:
        verifier = AuditVerifier(
            place.store,
            place.artifacts,
            keys=place.keys,
            verifier=place.verifier,
            progress=told,
            heads=heads,
        )
        return verifier.verify(tenant, since=since)


@contextmanager
def _bar(tenant: str) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
        task = progress.add_task(tenant, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _show(found: Verification, *, spans: bool) -> None:
    span = f", {found.first_at} to {found.last_at}" if found.entries else ""
    volumes = f", {found.volumes} volumes" if found.volumes else ""
    state = "whole" if found.whole else f"[bold red]{len(found.findings) + found.more} findings[/]"
    out.print(f"{found.tenant}: {found.entries} entries{span}{volumes}: {state}", soft_wrap=True)
    for it in found.spans if spans else ():
        # What is outside the lines, they cannot prove: a person has to know where they should end.
        told = f"  chain {it.chain}: entries {it.first} to {it.last}, whose hash is {it.hash}"
        out.print(told, soft_wrap=True)
    for one in found.findings:
        text = Text.assemble(("  " + one.kind, "bold"), f"  {harmless(one.text)}")
        out.print(text, soft_wrap=True)
    if found.more:
        out.print(f"  and {found.more} more")
    for kind in sorted({one.kind for one in found.findings}):
        err.print(f"{kind}: {MEANINGS[kind]}", soft_wrap=True)
    if found.unkeyed:
        err.print(
            f"{found.unkeyed} entries were made without AUDIT_KEY_FILE: up to the last one that was"
            " signed for, whoever may write both stores could have made them.",
            soft_wrap=True,
        )


def _row(found: Verification) -> dict[str, Any]:
    return asdict(found) | {"whole": found.whole}


def _newest(reader: AuditReader, tenant: str, wanted: Wanted, limit: int) -> list[Entry]:
    entries: list[Entry] = []
    place = None
    while len(entries) < limit:
        count = min(limit - len(entries), limits.AUDIT_PAGE_MAX)
        page = reader.page(tenant, before=place, limit=count, wanted=wanted)
        entries += page.entries
        place = page.next
        if place is None:
            break
    return entries


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("time", "seq", "action", "outcome", "who", "credential", "target", "detail"):
        table.add_column(heading)
    for entry in entries:
        event = entry.event
        who = f"{event.subject} ({event.role})" if event.subject else event.role
        detail = ", ".join(f"{name}={value}" for name, value in event.detail.items())
        cells = (event.action, event.outcome, who, event.credential, event.target, detail)
        table.add_row(entry.at, str(entry.seq), *(Text(harmless(cell)) for cell in cells))
    return table


def _at(line: bytes) -> str:
    try:
        return read_line(line).at
    except ValueError:
        return "9"  # what cannot be read is shown, not hidden


def _time(text: str) -> str:
    """Return a time as entries have it. ``LocalError`` for what is none."""
    if not text:
        return ""
    span = re.fullmatch(r"([1-9][0-9]{0,5})([mhdy])", text.strip().lower())
    try:
        if span:
            now_s = datetime.now(UTC).timestamp()
            return written_time(int((now_s - int(span[1]) * _UNITS_S[span[2]]) * 1000))
        at = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise LocalError(
            f"--since {text!r} is no time; write 2026-05-01, 2026-05-01T10:00Z, 30m, 12h or 7d."
        ) from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return written_time(int(at.timestamp() * 1000))
