"""What the coordinator counts; its names and meanings stand in one table, as the worker's do."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from coordinator.archive_metrics import ArchiveMetrics
from coordinator.audit_metrics import LeaderAuditMetrics
from coordinator.status import Status
from kotaemon_node import __version__

_BUILD_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)

# Name, meaning, labels.
GAUGES: Final = (
    (
        "kotaemon_build_info",
        "1; which version of the product this is, and which of its programs.",
        ("component", "version"),
    ),
    ("kotaemon_coordinator_leader", "1 while this coordinator leads, else 0.", ()),
    ("kotaemon_coordinator_ready", "1 when this coordinator is ready, else 0.", ()),
    (
        "kotaemon_coordinator_problem",
        "1 while something keeps this coordinator from its work, else 0; /readyz says what.",
        (),
    ),
    (
        "kotaemon_coordinator_loop_silent_seconds",
        "Since the work loop's last sign of life; it gives one several times in a build.",
        (),
    ),
    ("kotaemon_coordinator_generation", "Newest generation, by knowledge base.", ("kb",)),
    (
        "kotaemon_coordinator_documents",
        "Documents of the newest generation: indexed, failed, or waiting for the next one.",
        ("kb", "status"),
    ),
    ("kotaemon_coordinator_passages", "Passages that can be found.", ("kb",)),
    ("kotaemon_coordinator_segments", "Segments of the newest generation.", ("kb",)),
    ("kotaemon_coordinator_ignored_paths", "Paths that belong to no knowledge base.", ()),
    (
        "kotaemon_coordinator_tenants",
        "Tenants besides `default` whose knowledge is led here: all, in trouble, and waiting.",
        ("state",),
    ),
    (
        "kotaemon_coordinator_audit_unswept_seconds",
        "How long ago every tenant's audit log was anchored and moved without a fault, or since "
        "when this coordinator leads; 0 while it does not.",
        (),
    ),
    ("kotaemon_coordinator_held", "1 where the publish gate keeps a build out, else 0.", ("kb",)),
    (
        "kotaemon_encoder_agreement",
        "Lowest cosine between the encoder's vectors of its probes and those of its full-precision "
        "model, tried at the start; below 0.98 the coordinator does not start.",
        ("model",),
    ),
    (
        "kotaemon_probe_recall",
        "Recall on the probe set: of the generation served, and of the build that is held.",
        ("kb", "generation"),
    ),
    (
        "kotaemon_top_question_turns",
        "How often the ten most frequent questions of a tenant were asked in seven days, where"
        " QUESTIONS_IN_METRICS is set.",
        ("tenant", "question"),
    ),
)
COUNTERS: Final = (
    (
        "kotaemon_coordinator_step_failures_total",
        "Steps of the work loop that ended in trouble; each is taken again.",
        (),
    ),
    ("kotaemon_coordinator_documents_read_total", "Files read, by outcome.", ("outcome",)),
    (
        "kotaemon_coordinator_readings_given_up_total",
        "Times that a child was ended over a document, by cause.",
        ("cause",),
    ),
    (
        "kotaemon_coordinator_pieces_total",
        "Documents that were offered to build workers, by what came of it.",
        ("outcome",),
    ),
    (
        "kotaemon_coordinator_damage_found_total",
        "Times that the newest generation was found damaged in the store; it is made again.",
        ("kb",),
    ),
    ("kotaemon_generations_held_total", "Builds that the publish gate kept out.", ("kb",)),
    ("kotaemon_coordinator_jobs_total", "Orders that ended.", ("kind", "outcome")),
    (
        "kotaemon_coordinator_spans_total",
        "Spans of traces: exported; dropped, because too many waited; or failed, because the "
        "collector did not take them.",
        ("outcome",),
    ),
)
BUILD_SECONDS: Final = (
    "kotaemon_coordinator_build_seconds",
    "Making one generation: reading, encoding, storing.",
)


ANY_TENANTS: Final = "*"
"""The label of all knowledge bases of tenants besides ``default``; none can be called so."""
_JOBS: Final = ("upload", "publish", "rollback", "delete", "purge")
# A labelled counter would be absent until its first event, and ``rate()`` would miss that event.
KNOWN_LABELS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "kotaemon_coordinator_documents_read_total": [("indexed",), ("refused",)],
    "kotaemon_coordinator_readings_given_up_total": [
        (cause,) for cause in ("time", "computing", "memory", "crash", "killed", "nonsense")
    ],
    "kotaemon_coordinator_pieces_total": [
        (outcome,) for outcome in ("used", "late", "damaged", "declined", "not_offered")
    ],
    "kotaemon_coordinator_jobs_total": [
        (kind, outcome) for kind in _JOBS for outcome in ("done", "failed")
    ],
    "kotaemon_coordinator_spans_total": [("exported",), ("dropped",), ("failed",)],
}
_BY_KB: Final = ("kotaemon_coordinator_damage_found_total", "kotaemon_generations_held_total")
_GAUGES_BY_KB: Final = tuple(name for name, _, labels in GAUGES if labels == ("kb",))
_DOCUMENT_STATES: Final = ("indexed", "failed", "waiting")


class CoordinatorMetrics:
    """Thread safe; in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="kotaemon", registry=self._registry)
        self._gauges = {
            name: Gauge(name, meaning, labels, registry=self._registry)
            for name, meaning, labels in GAUGES
        }
        self._counters = {
            name: Counter(name, meaning, labels, registry=self._registry)
            for name, meaning, labels in COUNTERS
        }
        self._gauges["kotaemon_build_info"].labels("coordinator", __version__).set(1)
        self.archive = ArchiveMetrics(self._registry)
        self.audit = LeaderAuditMetrics(
            self._registry, self._gauges["kotaemon_coordinator_audit_unswept_seconds"]
        )
        self._kbs: set[str] = set()
        """Knowledge bases of which gauges are shown."""
        self._of_tenant = False
        self._build = Histogram(*BUILD_SECONDS, registry=self._registry, buckets=_BUILD_S)
        for name, rows in KNOWN_LABELS.items():
            for values in rows:
                self._counters[name].labels(*values)

    def of_tenant(self) -> "CoordinatorMetrics":
        """Return the same counters for a tenant's loop: no label is what a tenant can choose."""
        other = copy(self)
        other._of_tenant = True
        return other

    def tenants(self, statuses: Collection[Status]) -> None:
        """Show how many tenants besides ``default`` there are, and how they do."""
        gauge = self._gauges["kotaemon_coordinator_tenants"]
        gauge.labels("all").set(len(statuses))
        gauge.labels("trouble").set(sum(it.problem is not None for it in statuses))
        waiting = (any(kb.waiting for kb in it.knowledge.values()) for it in statuses)
        gauge.labels("waiting").set(sum(waiting))

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)

    def spans(self, outcome: str, count: int) -> None:
        """Say what became of so many spans."""
        self._counters["kotaemon_coordinator_spans_total"].labels(outcome).inc(count)

    def encoder_agreement(self, model: str, cosine: float) -> None:
        """Say how well the encoder agrees with its full-precision model, on its worst probe."""
        self._gauges["kotaemon_encoder_agreement"].labels(model).set(cosine)

    def top_questions(self, turns: Mapping[tuple[str, str], int]) -> None:
        """Show how often these tenants asked these questions, and no others."""
        gauge = self._gauges["kotaemon_top_question_turns"]
        gauge.clear()
        for (tenant, question), number in turns.items():
            gauge.labels(tenant, question).set(number)

    def step_failed(self) -> None:
        """Count a step of the work loop that ended in trouble."""
        self._counters["kotaemon_coordinator_step_failures_total"].inc()

    def loop_silent(self, silent_s: float) -> None:
        """Say how long ago the work loop gave its last sign of life."""
        self._gauges["kotaemon_coordinator_loop_silent_seconds"].set(silent_s)

    def document_read(self, *, refused: bool) -> None:
        """Count a file that was read."""
        outcome = "refused" if refused else "indexed"
        self._counters["kotaemon_coordinator_documents_read_total"].labels(outcome).inc()

    def reading_given_up(self, cause: str) -> None:
        """Count a child that was ended over a document."""
        self._counters["kotaemon_coordinator_readings_given_up_total"].labels(cause).inc()

    def piece(self, outcome: str) -> None:
        """Count a document that was offered to build workers."""
        self._counters["kotaemon_coordinator_pieces_total"].labels(outcome).inc()

    def damage_found(self, kb: str) -> None:
        """Count a newest generation that does not lie in the store as it was published."""
        self._counters["kotaemon_coordinator_damage_found_total"].labels(self._told(kb)).inc()

    def generation_built(self, duration_s: float) -> None:
        """Note how long a generation took."""
        self._build.observe(duration_s)

    def generation_held(self, kb: str) -> None:
        """Count a build that the gate kept out."""
        self._counters["kotaemon_generations_held_total"].labels(self._told(kb)).inc()

    def job_ended(self, kind: str, *, failed: bool) -> None:
        """Count an order."""
        outcome = "failed" if failed else "done"
        self._counters["kotaemon_coordinator_jobs_total"].labels(kind, outcome).inc()

    def _told(self, kb: str) -> str:
        return ANY_TENANTS if self._of_tenant else kb

    def _show_recall(self, status: Status) -> None:
        recall = self._gauges["kotaemon_probe_recall"]
        recall.clear()
        for kb, known in status.knowledge.items():
            if known.recall is not None:
                recall.labels(kb, str(known.generation)).set(known.recall)
            if known.held is not None and known.held.recall is not None:
                recall.labels(kb, "held").set(known.held.recall)

    def show(self, status: Status) -> None:
        """Set the gauges to what the coordinator says of itself; tenants are only counted."""
        if self._of_tenant:
            return
        gauges = self._gauges
        gauges["kotaemon_coordinator_leader"].set(status.role == "leader")
        gauges["kotaemon_coordinator_ready"].set(status.ready)
        gauges["kotaemon_coordinator_problem"].set(status.problem is not None)
        gauges["kotaemon_coordinator_ignored_paths"].set(len(status.ignored))
        self._show_recall(status)
        self._forget_all_but(status.knowledge)
        for kb, known in status.knowledge.items():
            gauges["kotaemon_coordinator_generation"].labels(kb).set(known.generation)
            gauges["kotaemon_coordinator_passages"].labels(kb).set(known.passages)
            gauges["kotaemon_coordinator_segments"].labels(kb).set(known.segments)
            gauges["kotaemon_coordinator_held"].labels(kb).set(known.held is not None)
            for counter in _BY_KB:
                self._counters[counter].labels(kb)
            documents = gauges["kotaemon_coordinator_documents"]
            for state in _DOCUMENT_STATES:
                documents.labels(kb, state).set(getattr(known, state))

    def _forget_all_but(self, shown: Collection[str]) -> None:
        """Remove knowledge bases that are gone, or that another coordinator leads now."""
        for kb in self._kbs.difference(shown):
            for name in _GAUGES_BY_KB:
                self._gauges[name].remove(kb)
            for state in _DOCUMENT_STATES:
                self._gauges["kotaemon_coordinator_documents"].remove(kb, state)
        self._kbs = set(shown)
