"""``ingest``: brings files and folders to a cluster, and shows what became of each of them.

Run again, it goes on where it was: what the cluster has already, or has taken and not yet read, is
not sent once more.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import Annotated, Any, Final

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err, out
from kotaemon_node.cli.ingest_files import Found, LocalFile, find_files, revision_of
from kotaemon_node.cli.ingest_following import Fate, listed, look
from kotaemon_node.cli.ingest_sending import PATIENCE_S, Refused, Sender
from kotaemon_node.cli.service import DataOption, KeyOption, Place, UrlOption
from kotaemon_node.domain.errors import Malformed
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, checked_id
from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError

_DATA = places.data_folder()
_LOOK_S: Final = 1.0
_LOOK_SHARE: Final = 4.0  # of a look's duration: long lists are asked for less often
_SENT_AT_ONCE: Final = 4
_FAILURES_SHOWN: Final = 50


@dataclass(slots=True)
class _Run:
    """What a run has done."""

    found: Found
    fate: Fate = field(default_factory=Fate)
    sent: int = 0
    unchanged: int = 0


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders with all below.")],
    kb: Annotated[str, typer.Option("--kb", help="Knowledge base.")] = DEFAULT_KNOWLEDGE_BASE,
    *,
    wait_: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Stay until all of it can be found.")
    ] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Bring documents to the cluster; again after an interruption, it goes on where it was."""
    try:
        checked_id("--kb", kb)
    except Malformed as error:
        raise LocalError(str(error)) from None
    place = service.place_of(url, data, key)
    run = _Run(find_files(paths, kb))
    try:
        with _progress() as progress:
            new = _compared(run, place, kb, progress)
            _send(run, place, kb, new, progress)
            if wait_:
                _follow(run, place, kb, progress)
    except KeyboardInterrupt:
        err.print("Interrupted. The same command goes on where this one was.")
        raise typer.Exit(130) from None
    _print_json(run, kb) if json_ else _print_table(run)
    if run.fate.failed or run.found.failed:
        raise typer.Exit(1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TextColumn("{task.fields[size]}"),
        TimeRemainingColumn(),
        console=err,
    )


def _compared(run: _Run, place: Place, kb: str, progress: Progress) -> list[tuple[LocalFile, str]]:
    """Return the files to send, with their revisions; note what the cluster has already."""
    known = listed(place, kb)
    task = progress.add_task("Comparing", total=len(run.found.files), size="")
    new: list[tuple[LocalFile, str]] = []
    for file in run.found.files:
        row = known.get(file.document, {})
        try:
            # Of a document that the cluster does not know the digest is not needed.
            revision = revision_of(file.path) if row else ""
        except OSError as error:
            run.fate.failed[file.document] = error.strerror or str(error)
            continue
        if not row or revision not in (row["revision"], row["queued_revision"]):
            new.append((file, revision))
        elif row["revision"] == revision and row["status"] == "indexed":
            run.unchanged += 1
        elif row["revision"] == revision and row["status"] == "failed":
            run.fate.failed[file.document] = row["reason"] or "it cannot be read"
        else:
            run.fate.waiting[file.document] = (revision, "")
        progress.advance(task)
    progress.update(task, visible=False)
    return new


def _send(
    run: _Run, place: Place, kb: str, new: Sequence[tuple[LocalFile, str]], progress: Progress
) -> None:
    if not new:
        return
    total = sum(file.size_bytes for file, _ in new)
    task = progress.add_task("Sending", total=len(new), size="")
    meter = _Meter(total, lambda text: progress.update(task, size=text))
    sender = Sender(place, kb)
    left = iter(new)
    pool = ThreadPoolExecutor(_SENT_AT_ONCE)
    try:
        doing: dict[Future[tuple[str, str]], LocalFile] = {}
        while True:
            for file, _ in islice(left, 2 * _SENT_AT_ONCE - len(doing)):
                doing[pool.submit(sender.send, file, sent=meter.add)] = file
            if not doing:
                return
            done, _ = wait(doing, return_when=FIRST_COMPLETED)
            for future in done:
                _take_note(run, doing.pop(future), future)
                progress.advance(task)
    finally:
        # Those that wait for a busy cluster must not hold up an interrupted run.
        pool.shutdown(wait=False, cancel_futures=True)


def _take_note(run: _Run, file: LocalFile, future: Future[tuple[str, str]]) -> None:
    try:
        run.fate.waiting[file.document] = future.result()
        run.sent += 1
    except Refused as refusal:
        run.fate.failed[file.document] = str(refusal)
    except OSError as error:
        run.fate.failed[file.document] = error.strerror or str(error)


class _Meter:
    """Counts bytes of several senders and tells megabytes and their rate."""

    def __init__(self, total_bytes: int, tell: Callable[[str], Any]) -> None:
        self._total = total_bytes
        self._tell = tell
        self._lock = threading.Lock()
        self._bytes = 0
        self._began_s = time.monotonic()

    def add(self, size: int) -> None:
        """Count bytes that were sent, or, negative, that have to be sent again."""
        with self._lock:
            self._bytes += size
            took_s = max(time.monotonic() - self._began_s, 0.001)
            rate = self._bytes / took_s / 1e6
            self._tell(f"{self._bytes / 1e6:.1f}/{self._total / 1e6:.1f} MB, {rate:.1f} MB/s")


def _follow(run: _Run, place: Place, kb: str, progress: Progress) -> None:
    """Look until everything that was sent is decided."""
    fate, total = run.fate, len(run.fate.waiting)
    if not total:
        return
    task = progress.add_task("Indexing", total=total, size="")
    answered_s = time.monotonic()
    while fate.waiting:
        began_s = time.monotonic()
        try:
            look(place, kb, fate)
            answered_s = time.monotonic()
        except service.ServiceError:
            # A pod was lost, or the store is away: what was taken is not lost with it.
            if time.monotonic() - answered_s > PATIENCE_S:
                raise
        progress.update(task, completed=total - len(fate.waiting))
        if fate.waiting:
            time.sleep(max(_LOOK_S, _LOOK_SHARE * (time.monotonic() - began_s)))


def _failures(run: _Run) -> dict[str, str]:
    return {**run.found.failed, **run.fate.failed}


def _counts(run: _Run) -> dict[str, int]:
    return {
        "sent": run.sent,
        "indexed": len(run.fate.indexed),
        "unchanged": run.unchanged,
        "waiting": len(run.fate.waiting),
        "failed": len(_failures(run)),
        "left_out": len(run.found.left_out),
    }


def _print_json(run: _Run, kb: str) -> None:
    failures = [{"document": name, "reason": why} for name, why in sorted(_failures(run).items())]
    left_out = [{"path": name, "reason": why} for name, why in sorted(run.found.left_out.items())]
    said = {"kb": kb, **_counts(run), "failures": failures, "left_out_files": left_out}
    print(json.dumps(said, ensure_ascii=False))


def _print_table(run: _Run) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    told = {"failed": "red", "waiting": "yellow", "indexed": "green"}
    for name in _counts(run):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(
        *(
            Text(str(count), told.get(name, "") if count else "dim")
            for name, count in _counts(run).items()
        )
    )
    out.print(table)
    failures = sorted(_failures(run).items())
    for name, why in failures[:_FAILURES_SHOWN]:
        out.print(Text.assemble(("✗ ", "red"), name, ": ", why), soft_wrap=True)
    if len(failures) > _FAILURES_SHOWN:
        out.print(f"… and {len(failures) - _FAILURES_SHOWN} more; --json has all of them.")
    if run.found.left_out:
        out.print(f"left out: {_kinds(run.found.left_out)}; --json says why.", soft_wrap=True)


def _kinds(paths: Iterable[str]) -> str:
    """Name how many files of each ending there are, most frequent first."""
    endings = Counter(PurePath(path).suffix.lower() or "without an ending" for path in paths)
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
