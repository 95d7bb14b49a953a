"""How backups are shown: progress and words to stderr, results to stdout."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kotaemon_node.adapters.redis.rights import REFUSED
from kotaemon_node.backup.drill import Report
from kotaemon_node.backup.format import Backup, BackupRefused, seconds
from kotaemon_node.backup.keeping import Verified
from kotaemon_node.cli.console import complain, err, out
from kotaemon_node.cli.signals import StopAsked, stop_signals
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.ids import DEFAULT_TENANT

_FAILURE, _CANNOT_BE_DONE, _INTERRUPTED = 1, 2, 130


class Shown:
    """Told of what was done (``Tell``); a line for each kind of thing."""

    def __init__(self, progress: Progress, totals: dict[str, int]) -> None:
        self._progress = progress
        self._totals = totals
        self._tasks: dict[str, Any] = {}

    def __call__(self, kind: str, more: int) -> None:
        """Take note."""
        if kind not in self._tasks:
            self._tasks[kind] = self._progress.add_task(kind, total=self._totals.get(kind))
        self._progress.advance(self._tasks[kind], more)


@contextmanager
def showing(totals: dict[str, int] | None = None) -> Iterator[Shown]:
    """Show progress in the body, and errors as a sentence and an exit code."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with stop_signals(), Progress(*columns, console=err) as progress:
            yield Shown(progress, totals or {})
    except StopAsked:
        err.print("Interrupted. The same command goes on where this one was.")
        raise typer.Exit(_INTERRUPTED) from None
    except BackupRefused as error:
        complain(str(error))
        raise typer.Exit(_CANNOT_BE_DONE) from None
    except (NodeError, OSError, ValueError, REFUSED) as error:
        complain(f"{error}.")
        raise typer.Exit(_FAILURE) from None


def as_json(backup: Backup) -> dict[str, Any]:
    """Return a backup as scripts read it."""
    said = asdict(backup)
    for part in ("sessions", "artifacts", "documents"):
        if said[part] is not None:
            del said[part]["index"]
    return {**said, "what": list(backup.what), "size_bytes": backup.size_bytes}


def print_json(value: object) -> None:
    """Print a result."""
    print(json.dumps(value, indent=2))


def backups_table(backups: Sequence[Backup]) -> Table:
    """Return the table of ``kotaemon backup list``."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("backup", no_wrap=True, min_width=26)
    several = any(it.tenant != DEFAULT_TENANT for it in backups)
    if several:
        table.add_column("tenant")
    for name, right in (
        ("kind", False),
        ("sessions", True),
        ("artifacts", True),
        ("documents", True),
        ("size", True),
        ("written", True),
        ("took", True),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for it in backups:
        table.add_row(
            it.id,
            *([it.tenant] if several else []),
            it.kind,
            str(it.sessions.sessions) if it.sessions else "-",
            str(it.artifacts.files) if it.artifacts else "-",
            str(it.documents.files) if it.documents else "-",
            size(it.size_bytes),
            size(it.written_bytes),
            f"{seconds(it.ended_at) - seconds(it.began_at):.1f} s",
        )
    return table


def show_backups(backups: Sequence[Backup]) -> None:
    """Print those that were just made."""
    out.print(backups_table(backups))
    for backup in backups:
        if backup.sessions and backup.sessions.skipped:
            complain(
                f"{backup.sessions.skipped} sessions are not in {backup.id}: the log above names"
                " them and why."
            )


def show_verified(found: Sequence[Verified]) -> None:
    """Print what ``kotaemon backup verify`` found."""
    for it in found:
        word = "[red]damaged[/]" if it.problems else "[green]whole[/]"
        out.print(f"{it.backup}  {word}  {it.blobs} blobs, {size(it.size_bytes)},", end=" ")
        out.print(f"{it.sessions} sessions read")
        for problem in it.problems:
            complain(problem)


def show_report(report: Report) -> None:
    """Print what a drill found."""
    out.print(f"Drill of backup [bold]{report.backup}[/]")
    out.print(f"  RPO  {report.rpo_s:10.1f} s   since the backup began: at most so much is lost")
    out.print(f"  RTO  {report.rto_s:10.1f} s   to restore and open all of it")
    for what, took_s in report.took_s.items():
        out.print(f"       {took_s:10.1f} s   {what}")
    out.print(
        f"  {report.sessions} sessions with {report.turns} turns, {report.artifacts} artifacts,"
        f" {report.documents} documents",
        soft_wrap=True,
    )
    for it in report.answers:
        recall = "no probes" if it.recall is None else f"recall {it.recall:.3f}"
        before = "" if it.recall_before is None else f" (was {it.recall_before:.3f})"
        out.print(f"  {it.kb} generation {it.generation}: {recall}{before}", soft_wrap=True)
    for problem in report.problems:
        complain(problem)
    if not report.problems:
        out.print("[green]The backup is good.[/]")


def size(size_bytes: int) -> str:
    """Return a size for people."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
