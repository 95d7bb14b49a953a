"""The one object through which a pod counts; what there is to count stands in ``catalogue``."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from kotaemon_node import __version__
from kotaemon_node.domain import limits
from kotaemon_node.domain.events import TOPICS
from kotaemon_node.telemetry.acting_metrics import ActingMetrics
from kotaemon_node.telemetry.audit_metrics import AuditMetrics
from kotaemon_node.telemetry.catalogue import CATALOGUE
from kotaemon_node.telemetry.knowledge_metrics import KnowledgeMetrics
from kotaemon_node.telemetry.known_labels import KNOWN_LABELS, PROFILE_OUTCOMES
from kotaemon_node.telemetry.metric_row import MetricRow
from kotaemon_node.telemetry.use_metrics import UseMetrics

METRICS_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ProfileOutcome = Literal["answered", "unanswered", "failed", "stopped"]
EventOutcome = Literal["sent", "failed", "dropped", "spared", "handled", "ignored", "poison"]


class Metrics:
    """What a pod counts, in a registry of its own so that two pods in one test stay apart.

    Thread safe. No method raises for a legal call and none blocks.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # CPU, memory and files of the process, as kotaemon_process_*.
        ProcessCollector(namespace="kotaemon", registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for row in CATALOGUE:
            self._register(row)
        for name, rows in KNOWN_LABELS.items():
            for labels in rows:
                self._counters[name].labels(*labels)
        for topic in TOPICS:
            self._histograms["kotaemon_event_delay_seconds"].labels(topic)
        self.acting = ActingMetrics(self._counters, self._gauges, self._histograms)
        self.knowledge = KnowledgeMetrics(self._counters, self._gauges, self._histograms)
        self.audit = AuditMetrics(
            self._counters["kotaemon_audit_entries_total"],
            self._counters["kotaemon_audit_lost_total"],
            self._gauges["kotaemon_audit_waiting"],
            self._counters["kotaemon_audit_set_back_total"],
        )
        self.use = UseMetrics(
            self._counters["kotaemon_limited_total"],
            self._counters["kotaemon_limits_unchecked_total"],
        )
        self.taken_over = 0
        """Turns that this pod took over since it started."""
        self._store_timed: dict[str, Histogram] = {}
        """By operation: ten calls of the store a turn need not look for their labels."""
        self._maxima: dict[str, int] = {}
        self._load: dict[str, float] = {}
        self._gauges["kotaemon_build_info"].labels("worker", __version__).set(1)
        self.maxima(streams=limits.STREAMS_PER_POD_MAX, turns=limits.RUNNING_TURNS_PER_POD_MAX)

    def _register(self, row: MetricRow) -> None:
        match row.kind:
            case "counter":
                self._counters[row.name] = Counter(
                    row.name, row.meaning, row.labels, registry=self.registry
                )
            case "gauge":
                self._gauges[row.name] = Gauge(
                    row.name, row.meaning, row.labels, registry=self.registry
                )
            case "histogram":
                self._histograms[row.name] = Histogram(
                    row.name,
                    row.meaning,
                    row.labels,
                    registry=self.registry,
                    buckets=row.buckets_s,
                )

    def exposition(self) -> bytes:
        """Return all of it in Prometheus's text format (``METRICS_MEDIA_TYPE``)."""
        return generate_latest(self.registry)

    def turn_finished(self, outcome: str, duration_s: float) -> None:
        """Count a turn that ended as ``done``, ``failed``, ``cancelled`` or ``interrupted``."""
        self._counters["kotaemon_turns_total"].labels(outcome).inc()
        self._histograms["kotaemon_turn_duration_seconds"].observe(duration_s)

    def turn_failed(self, code: str) -> None:
        """Count why a turn failed; ``code`` is one of an error of the API."""
        self._counters["kotaemon_turns_failed_total"].labels(code).inc()

    def turn_degraded(self) -> None:
        """The language model failed; the turn is answered from the passages alone."""
        self._counters["kotaemon_turns_degraded_total"].inc()

    def profiles(self, names: Iterable[str]) -> None:
        """Say which arms there are, so that each is counted from 0."""
        for name in names:
            for outcome in PROFILE_OUTCOMES:
                self._counters["kotaemon_profile_turns_total"].labels(name, outcome)

    def turn_of_profile(self, profile: str, outcome: ProfileOutcome) -> None:
        """Count how a turn ended by the arm that answered it; "": none runs."""
        name = profile or "default"
        self._counters["kotaemon_profile_turns_total"].labels(name, outcome).inc()

    def feedback(self, rating: Literal["up", "down"]) -> None:
        """Count what somebody said of an answer."""
        self._counters["kotaemon_feedback_total"].labels(rating).inc()

    def analytics(self, outcome: Literal["counted", "failed"]) -> None:
        """Count what analytics were told."""
        self._counters["kotaemon_analytics_total"].labels(outcome).inc()

    def audit_record(self, outcome: Literal["stored", "late", "failed"]) -> None:
        """Count what became of a record."""
        self._counters["kotaemon_audit_records_total"].labels(outcome).inc()

    def first_text(self, duration_s: float) -> None:
        """Note how long after its acceptance a turn showed its first text."""
        self._histograms["kotaemon_first_text_seconds"].observe(duration_s)

    def retrieval(self, duration_s: float) -> None:
        """Note how long one search took."""
        self._histograms["kotaemon_retrieval_seconds"].observe(duration_s)

    def neighbours(self, source: Literal["store", "partly", "files"]) -> None:
        """Count a search for which a vector store could be asked."""
        self._counters["kotaemon_neighbour_searches_total"].labels(source).inc()

    def encoder_agreement(self, model: str, cosine: float) -> None:
        """Say how well the encoder agrees with its full-precision model, on its worst probe."""
        self._gauges["kotaemon_encoder_agreement"].labels(model).set(cosine)

    def encoder_asked(self, outcome: Literal["answered", "failed", "skipped"]) -> None:
        """Count a request to an encoder elsewhere."""
        self._counters["kotaemon_encoder_requests_total"].labels(outcome).inc()

    def rerank(self, outcome: Literal["reranked", "failed", "skipped"], took_s: float) -> None:
        """Count a search whose passages a cross-encoder should order, and note how long it took."""
        self._counters["kotaemon_reranks_total"].labels(outcome).inc()
        if outcome != "skipped":
            self._histograms["kotaemon_rerank_seconds"].observe(took_s)

    def maxima(self, *, streams: int, turns: int) -> None:
        """Say how many streams this pod has open, and how many turns it executes, at most."""
        self._gauges["kotaemon_streams_max"].set(streams)
        self._gauges["kotaemon_turns_running_max"].set(turns)
        self._maxima = {"streams": streams, "turns": turns}
        self._load.update(dict.fromkeys(self._maxima, 0.0))

    def turns_running(self, turns: int) -> None:
        """Say how many turns this pod executes now."""
        self._gauges["kotaemon_turns_running"].set(turns)
        self._show_load("turns", turns)

    def streams_open(self, streams: int) -> None:
        """Say how many clients follow."""
        self._gauges["kotaemon_streams_active"].set(streams)
        self._show_load("streams", streams)

    def _show_load(self, what: Literal["streams", "turns"], number: int) -> None:
        self._load[what] = number / self._maxima[what]
        self._gauges["kotaemon_load_ratio"].set(max(self._load.values()))

    def reconnect_sent(self, reason: Literal["leaving", "error"]) -> None:
        """A client was told to come back."""
        self._counters["kotaemon_reconnects_total"].labels(reason).inc()

    def handover(self) -> None:
        """This pod, leaving, gave a turn up."""
        self._counters["kotaemon_handovers_total"].inc()

    def draining(self, is_draining: bool) -> None:
        """Say whether this pod leaves."""
        self._gauges["kotaemon_draining"].set(1 if is_draining else 0)

    def frames_stored(self, frames: int, delay_s: float) -> None:
        """Count a batch that was stored, and how long its oldest frame waited for it."""
        self._counters["kotaemon_frames_stored_total"].inc(frames)
        self._histograms["kotaemon_frame_delay_seconds"].observe(delay_s)

    def frames_repeated(self) -> None:
        """A batch has to be sent again."""
        self._counters["kotaemon_frame_batches_repeated_total"].inc()

    def takeover(self) -> None:
        """This pod took over a turn."""
        self.taken_over += 1
        self._counters["kotaemon_takeovers_total"].inc()

    def fenced_write(self) -> None:
        """A write of this pod was refused: another pod owns the turn."""
        self._counters["kotaemon_fenced_writes_total"].inc()

    def event(self, topic: str, outcome: EventOutcome) -> None:
        """An event came from the bus, or was to be sent to it."""
        self._counters["kotaemon_events_total"].labels(topic, outcome).inc()

    def event_delay(self, topic: str, delay_s: float) -> None:
        """Note how long ago an event that came was put on the bus; clocks may differ."""
        self._histograms["kotaemon_event_delay_seconds"].labels(topic).observe(max(0.0, delay_s))

    def events_unsent(self, turns: int) -> None:
        """Say of how many turns the last sweep found events that wait for the bus."""
        self._gauges["kotaemon_events_unsent"].set(turns)

    def session_cache(
        self, result: Literal["hit", "partial", "miss", "stale", "rolled_back"]
    ) -> None:
        """A turn began; say what was remembered of its session."""
        self._counters["kotaemon_session_cache_total"].labels(result).inc()

    def answer_cache(
        self,
        result: Literal["hit", "similar", "joined", "made", "first", "skipped", "unavailable"],
    ) -> None:
        """A turn's answer was looked for among the hot ones, or was not."""
        self._counters["kotaemon_answer_cache_total"].labels(result).inc()

    def retrieval_cache(self, result: Literal["hit", "miss"]) -> None:
        """Passages were asked for; say whether this pod remembered them."""
        self._counters["kotaemon_retrieval_cache_total"].labels(result).inc()

    def session_gone(self, reason: Literal["rolled_back", "wiped", "turn"]) -> None:
        """Somebody was told that the store has lost something."""
        self._counters["kotaemon_sessions_gone_total"].labels(reason).inc()

    def session_restored(
        self, outcome: Literal["restored", "unavailable", "missing", "corrupt"], duration_s: float
    ) -> None:
        """Somebody asked for an archived session."""
        self._counters["kotaemon_sessions_restored_total"].labels(outcome).inc()
        self._histograms["kotaemon_session_restore_seconds"].observe(duration_s)

    def seal_refused(self, reason: str) -> None:
        """What was sealed, or should be, was not opened."""
        self._counters["kotaemon_seals_refused_total"].labels(reason).inc()

    def llm_tokens(self, prompt: int, completion: int) -> None:
        """Count the tokens of one call, as the server reported them."""
        self._counters["kotaemon_llm_tokens_total"].labels("prompt").inc(prompt)
        self._counters["kotaemon_llm_tokens_total"].labels("completion").inc(completion)

    def llm_cost(self, cost: float) -> None:
        """Add what tokens cost, in the currency of the prices that are set."""
        self._counters["kotaemon_llm_cost_total"].inc(cost)

    def citation_marks(self, outcomes: Mapping[str, int]) -> None:
        """Count what became of the marks in a model's text: kept, replaced or dropped."""
        for outcome, count in outcomes.items():
            self._counters["kotaemon_citation_marks_total"].labels(outcome).inc(count)

    def links_left_out(self, count: int) -> None:
        """Count addresses that a model made up, and that were left out of its answer."""
        self._counters["kotaemon_links_left_out_total"].inc(count)

    def breaker_open(self, endpoint: str, is_open: bool) -> None:
        """Say whether the breaker of an endpoint is open, as far as this pod knows."""
        self._gauges["kotaemon_breaker_open"].labels(endpoint).set(1 if is_open else 0)

    def direct_answer(self) -> None:
        """A question was answered without the session store."""
        self._counters["kotaemon_direct_answers_total"].inc()

    def llm_answered(self, duration_s: float) -> None:
        """Note how long the language model, with its tools, took over a turn."""
        self._histograms["kotaemon_llm_seconds"].observe(duration_s)

    def plugins(self, names: Iterable[str]) -> None:
        """Say which tools are configured, so that each is counted from 0."""
        for name in names:
            for outcome in ("done", "failed", "unknown"):
                self._counters["kotaemon_plugin_calls_total"].labels(name, outcome)

    def plugin_call(self, plugin: str, outcome: Literal["done", "failed", "unknown"]) -> None:
        """Count a call of a tool; ``plugin`` is the name of one that is configured."""
        self._counters["kotaemon_plugin_calls_total"].labels(plugin, outcome).inc()

    def store_answered(self, operation: str, duration_s: float) -> None:
        """Note how long the session store took; ``operation`` is a script's name, or ``read``."""
        timed = self._store_timed.get(operation)
        if timed is None:
            timed = self._histograms["kotaemon_store_seconds"].labels(operation)
            self._store_timed[operation] = timed
        timed.observe(duration_s)

    def store_refused(self, reason: str) -> None:
        """The store failed a request or a heartbeat; ``reason`` is ``StoreUnavailable.refusal``."""
        self._counters["kotaemon_store_refusals_total"].labels(reason).inc()

    def unconfirmed_writes(self, writes: int) -> None:
        """So many writes were not confirmed in time."""
        self._counters["kotaemon_unconfirmed_writes_total"].inc(writes)

    def heartbeat_gap(self, gap_s: float) -> None:
        """Note the time between two heartbeats that the store took."""
        self._histograms["kotaemon_heartbeat_gap_seconds"].observe(gap_s)

    def loop_lag(self, lag_s: float) -> None:
        """Note by how much a short wait took longer than asked."""
        self._histograms["kotaemon_loop_lag_seconds"].observe(max(0.0, lag_s))

    def spans(self, outcome: Literal["exported", "dropped", "failed"], count: int) -> None:
        """Say what became of so many spans."""
        self._counters["kotaemon_spans_total"].labels(outcome).inc(count)

    def ready(self, is_ready: bool) -> None:
        """Say whether this pod can serve."""
        self._gauges["kotaemon_ready"].set(1 if is_ready else 0)

    def error_answered(self, code: str) -> None:
        """Count a request that was answered with an error of the API."""
        self._counters["kotaemon_error_answers_total"].labels(code).inc()

    def http_request(self, route: str, *, method: str, status: int, duration_s: float) -> None:
        """Count an answer. ``route`` is the pattern (``/v1/sessions/<sid>``), never the path."""
        self._counters["kotaemon_http_requests_total"].labels(route, method, str(status)).inc()
        self._histograms["kotaemon_http_request_seconds"].labels(route).observe(duration_s)
