"""A restore drill: everything is restored beside the cluster, looked at, asked, and removed again.

It shows what nothing else shows: that what was backed up comes back, how long that takes, and how
much would be lost now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kotaemon_node.backup.format import Backup, seconds
from kotaemon_node.backup.knowledge import step_of
from kotaemon_node.backup.restoring import KnowledgeRestoring, Restored, SessionsRestoring
from kotaemon_node.backup.sessions import copies, shards
from kotaemon_node.backup.shelf import Shelf, checksum
from kotaemon_node.backup.writing import Tell
from kotaemon_node.domain.errors import CorruptArtifact, NodeError
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.backup import WholeSessions
from kotaemon_node.ports.runtime import Clock

_TOLD_MAX = 20


@dataclass(frozen=True, slots=True)
class Answers:
    """What a generation answered. Recalls are means over its probes, None where it has none."""

    kb: str
    generation: int
    probes: int
    recall: float | None
    recall_before: float | None
    """As it was when the generation was published."""
    problem: str | None = None


@dataclass(slots=True)
class Report:
    """What a drill found; no ``problems``: the backup is good."""

    backup: str
    rpo_s: float
    """How old the backup is: at most so much would be lost now."""
    rto_s: float = 0.0
    """How long restoring and opening took, without the looking afterwards."""
    took_s: dict[str, float] = field(default_factory=dict)
    sessions: int = 0
    turns: int = 0
    artifacts: int = 0
    documents: int = 0
    answers: list[Answers] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Note a problem, within bounds."""
        if len(self.problems) < _TOLD_MAX:
            self.problems.append(text)


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where a drill restores to: empty, and nobody else's."""

    sessions: WholeSessions
    artifacts: ArtifactStore
    documents: Path


Ask = Callable[[Scratch, Mapping[str, int]], Sequence[Answers]]
"""Opens generations (knowledge base → number) of a scratch place, and asks them their probes."""


class Drill:
    """Runs a drill of one backup."""

    def __init__(self, shelf: Shelf, scratch: Scratch, ask: Ask, *, clock: Clock, tell: Tell):
        self._shelf = shelf
        self._scratch = scratch
        self._ask = ask
        self._clock = clock
        self._tell = tell

    def run(self, backup: Backup) -> Report:
        """Restore, look at everything, ask, and report."""
        report = Report(backup.id, rpo_s=self._clock.now_s() - seconds(backup.began_at))
        if backup.artifacts is not None:
            self._timed(report, "knowledge", lambda: self._knowledge(backup, report))
            self._timed(report, "opening", lambda: self._answers(backup, report))
        if backup.sessions is not None:
            self._timed(report, "sessions", lambda: self._sessions(backup, report))
        report.rto_s = sum(report.took_s.values())
        self._timed(report, "checking", lambda: self._check(backup, report))
        return report

    def _timed(self, report: Report, what: str, work: Callable[[], None]) -> None:
        began_s = self._clock.monotonic_s()
        try:
            work()
        except (NodeError, CorruptArtifact, OSError) as error:
            report.problem(f"{what}: {error}")
        report.took_s[what] = self._clock.monotonic_s() - began_s

    def _knowledge(self, backup: Backup, report: Report) -> None:
        scratch = self._scratch
        restoring = KnowledgeRestoring(
            self._shelf, scratch.artifacts, scratch.documents, tell=self._tell
        )
        artifacts, documents = restoring.run(backup)
        report.artifacts, report.documents = artifacts.restored, documents.restored
        for part in (artifacts, documents):
            _tell_of(part, report)

    def _answers(self, backup: Backup, report: Report) -> None:
        generations = backup.artifacts.generations if backup.artifacts else {}
        report.answers = list(self._ask(self._scratch, generations))
        for answers in report.answers:
            if answers.problem is not None:
                report.problem(f"knowledge base {answers.kb}: {answers.problem}")

    def _sessions(self, backup: Backup, report: Report) -> None:
        scratch = self._scratch
        restoring = SessionsRestoring(
            self._shelf, scratch.sessions, scratch.artifacts, new_epoch=None, tell=self._tell
        )
        done = restoring.run(backup)
        report.sessions = done.restored
        _tell_of(done, report)
        if done.there:
            report.problem(f"{done.there} sessions are in the backup twice")

    def _check(self, backup: Backup, report: Report) -> None:
        """Read back what was restored: each history's hash chain, each artifact's checksum."""
        for file in self._shelf.files(backup.artifacts):
            path = self._scratch.artifacts.open_local(file.name)
            if checksum(path) != file.sha256:
                report.problem(f"{file.name} came back with another checksum")
            stem = file.name.rpartition("/")[2].removesuffix(".txt")
            if step_of(file.name) == "texts" and stem != file.sha256:
                report.problem(f"{file.name} was damaged when it was copied")
        self._check_sessions(backup, report)

    def _check_sessions(self, backup: Backup, report: Report) -> None:
        for rows in shards(self._shelf, backup.sessions):
            for row, copy in copies(self._shelf, rows):
                report.turns += len(copy.turns)
                name = copy.name.of(copy.key)
                if row.archived:
                    if self._scratch.artifacts.get(name) is None:
                        report.problem(f"an archived session did not come back: {name}")
                    continue
                back = self._scratch.sessions.copy(copy.key)
                if back is None or back.turns != copy.turns or back.name != copy.name:
                    report.problem(f"session {row.session_id} came back as another")


def _tell_of(done: Restored, report: Report) -> None:
    for what in done.damaged:
        report.problem(f"damaged: {what}")
    for what in done.differs:
        report.problem(f"twice in the backup: {what}")
