"""The catalogue of a pod's metrics, one row each.

Rule 1: a metric exists only as a row of ``CATALOGUE``; docs/reference/metrics.md lists the same.
Rule 2: units are base units (seconds, counts) and stand last in the name.
Rule 3: a label's values are few and ours: never a session, a user, or a word of a question.
"""

from typing import Final

from kotaemon_node.telemetry import buckets
from kotaemon_node.telemetry.acting_catalogue import ACTING_CATALOGUE
from kotaemon_node.telemetry.audit_metrics import AUDIT_CATALOGUE
from kotaemon_node.telemetry.metric_row import MetricRow
from kotaemon_node.telemetry.use_metrics import USE_CATALOGUE

CATALOGUE: Final = (
    MetricRow(
        "kotaemon_build_info",
        "gauge",
        "1; which version of the product this is, and which of its programs.",
        ("component", "version"),
    ),
    MetricRow("kotaemon_turns_total", "counter", "Turns ended, by outcome.", ("outcome",)),
    MetricRow(
        "kotaemon_turns_failed_total",
        "counter",
        "Turns that ended in an error, by its code; turn_crashed: three pods were lost over it.",
        ("code",),
    ),
    MetricRow(
        "kotaemon_turns_degraded_total",
        "counter",
        "Turns answered from the passages alone, because the language model failed.",
    ),
    MetricRow(
        "kotaemon_profile_turns_total",
        "counter",
        "Turns ended, by the arm of the live experiment (default: none runs): answered, unanswered "
        "(the answer says that it does not know, or rests on no source), failed, or stopped.",
        ("profile", "outcome"),
    ),
    MetricRow(
        "kotaemon_feedback_total",
        "counter",
        "Ratings of answers, up or down; a rating that is changed counts again.",
        ("rating",),
    ),
    MetricRow(
        "kotaemon_analytics_total",
        "counter",
        "Turns and ratings told to analytics: counted, or failed (turns are told again).",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_audit_records_total",
        "counter",
        "Audit records of turns: stored or failed; late: the turn ended before its own was stored.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_turn_duration_seconds",
        "histogram",
        "Accepted until ended.",
        buckets_s=buckets.TURN_S,
    ),
    MetricRow(
        "kotaemon_first_text_seconds",
        "histogram",
        "Accepted until the first text frame.",
        buckets_s=buckets.FIRST_TEXT_S,
    ),
    MetricRow(
        "kotaemon_retrieval_seconds",
        "histogram",
        "One search, whole.",
        buckets_s=buckets.RETRIEVAL_S,
    ),
    MetricRow(
        "kotaemon_neighbour_searches_total",
        "counter",
        "Searches where VECTOR_STORE names a server, by where the nearest vectors were found: all "
        "there (store), some in segments' files (partly) or all of them (files).",
        ("source",),
    ),
    MetricRow(
        "kotaemon_encoder_agreement",
        "gauge",
        "Lowest cosine between the encoder's vectors of its probes and those of its full-precision "
        "model, tried at the start; below 0.98 a pod does not start.",
        ("model",),
    ),
    MetricRow(
        "kotaemon_encoder_requests_total",
        "counter",
        "Requests to the encoder at ENCODER_URL: answered, failed, or skipped right after a "
        "failure. A search whose request was not answered goes by words alone.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_reranks_total",
        "counter",
        "Searches where RERANK_MODEL names a cross-encoder: reranked, failed, or skipped because "
        "it failed a moment ago.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_rerank_seconds",
        "histogram",
        "One question to a cross-encoder, failures included.",
        buckets_s=buckets.RERANK_S,
    ),
    MetricRow("kotaemon_turns_running", "gauge", "Turns that this pod executes now."),
    MetricRow("kotaemon_turns_running_max", "gauge", "Turns that this pod executes at most."),
    MetricRow("kotaemon_streams_active", "gauge", "Streams open to clients of this pod."),
    MetricRow("kotaemon_streams_max", "gauge", "Streams that this pod has open at most."),
    MetricRow(
        "kotaemon_load_ratio",
        "gauge",
        "The larger of two shares: running turns of their maximum, open streams of theirs. What "
        "autoscaling goes by; 1 is full.",
    ),
    MetricRow(
        "kotaemon_takeovers_total",
        "counter",
        "Turns taken over from another pod: from a dead one, or handed over by one that leaves.",
    ),
    MetricRow(
        "kotaemon_handovers_total", "counter", "Turns that this pod, leaving, gave up to others."
    ),
    MetricRow(
        "kotaemon_reconnects_total",
        "counter",
        "Streams told to come back (reconnect): the pod is leaving, or the store was away (error).",
        ("reason",),
    ),
    MetricRow("kotaemon_draining", "gauge", "1 while this pod leaves: no new work comes to it."),
    MetricRow(
        "kotaemon_fenced_writes_total",
        "counter",
        "Turns left because a write was refused: taken over, cancelled or interrupted elsewhere.",
    ),
    MetricRow("kotaemon_frames_stored_total", "counter", "Frames of turns stored by this pod."),
    MetricRow(
        "kotaemon_frame_delay_seconds",
        "histogram",
        "The oldest frame of a batch, written until stored and shown. The window in which texts "
        "wait for more is part of it.",
        buckets_s=buckets.FRAME_S,
    ),
    MetricRow(
        "kotaemon_frame_batches_repeated_total",
        "counter",
        "Batches of frames that were not stored at the first try and are sent again.",
    ),
    MetricRow(
        "kotaemon_knowledge_generation", "gauge", "Generation served, by knowledge base.", ("kb",)
    ),
    MetricRow(
        "kotaemon_tenants_open",
        "gauge",
        "Tenants besides the default one whose knowledge this pod holds.",
    ),
    MetricRow(
        "kotaemon_knowledge_refused",
        "gauge",
        "1 where this pod refuses the newest generation and serves the one before.",
        ("kb",),
    ),
    MetricRow(
        "kotaemon_knowledge_behind",
        "gauge",
        "1 where another pod serves a newer generation.",
        ("kb",),
    ),
    MetricRow(
        "kotaemon_generation_refused_total",
        "counter",
        "Tries to serve a generation that ended in its refusal: unsigned, unknown_key, "
        "bad_signature, misplaced (of another place or number), corrupt (checksum, missing file) "
        "or unusable (e.g. another encoder).",
        ("kb", "reason"),
    ),
    MetricRow(
        "kotaemon_generation_load_seconds",
        "histogram",
        "Bringing a newer generation into service: fetched, verified, opened, warmed, swapped.",
        buckets_s=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0),
    ),
    MetricRow(
        "kotaemon_events_total",
        "counter",
        "Events of the bus. Sent: sent, failed (sent again later), dropped (the bus was away for"
        " too long) or spared (SESSION_EVENTS). Read: handled, ignored (known already) or poison"
        " (skipped).",
        ("topic", "outcome"),
    ),
    MetricRow(
        "kotaemon_event_delay_seconds",
        "histogram",
        "Stamped by the bus until read here (Redis Streams and Kafka), by clocks of two machines.",
        ("topic",),
        (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0),
    ),
    MetricRow(
        "kotaemon_events_unsent",
        "gauge",
        "Committed turns of the cluster whose events wait for the bus, by the share of the index "
        "that this pod looked at last; of many pods it may be seconds old. 2048 (128 in each part) "
        "or above stands for more.",
    ),
    MetricRow(
        "kotaemon_session_cache_total",
        "counter",
        "Turns begun in a session with a history, by what the pod's memory of it was good for: "
        "all (hit), all but newer turns (partial; stale where an event had said so), nothing "
        "(miss), or the store was set back (rolled_back).",
        ("result",),
    ),
    MetricRow(
        "kotaemon_answer_cache_total",
        "counter",
        "Turns by what became of the look for a hot answer: one was there (hit), also of a similar "
        "question (similar), or was being made (joined); none was, and it is made and kept (made) "
        "or was asked for the first time (first); it may not be shared (skipped), or the store did "
        "not answer in time (unavailable).",
        ("result",),
    ),
    MetricRow(
        "kotaemon_retrieval_cache_total",
        "counter",
        "Searches of turns, by whether this pod remembered what is found (hit) or not (miss).",
        ("result",),
    ),
    MetricRow(
        "kotaemon_sessions_gone_total",
        "counter",
        "Told as gone: the store lost the end of a session (rolled_back) or all of it (wiped); or "
        "what somebody followed of a turn is lost or deleted (turn).",
        ("reason",),
    ),
    MetricRow(
        "kotaemon_sessions_restored_total",
        "counter",
        "Tries to bring an archived session back: restored, unavailable (the artifact store did "
        "not answer), missing (its copy was not there) or corrupt.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_session_restore_seconds",
        "histogram",
        "One such try, reading and unpacking its copy.",
        buckets_s=buckets.RETRIEVAL_S,
    ),
    MetricRow("kotaemon_llm_tokens_total", "counter", "Tokens of the language model.", ("kind",)),
    MetricRow(
        "kotaemon_llm_cost_total",
        "counter",
        "What they cost, by LLM_PRICE_PROMPT and LLM_PRICE_COMPLETION.",
    ),
    MetricRow(
        "kotaemon_citation_marks_total",
        "counter",
        "Marks [n] that the language model wrote: kept, replaced by the one passage that bears the "
        "sentence, or dropped, because none does.",
        ("outcome",),
    ),
    MetricRow(
        "kotaemon_links_left_out_total",
        "counter",
        "Addresses left out of answers: the model wrote them, and nothing that it read has them.",
    ),
    MetricRow(
        "kotaemon_breaker_open",
        "gauge",
        "1 while an endpoint outside is not asked, or tried by one pod, because it failed in a "
        "row; else 0.",
        ("endpoint",),
    ),
    MetricRow(
        "kotaemon_direct_answers_total",
        "counter",
        "Questions of GET /ask that were answered without the session store, because it is away.",
    ),
    MetricRow(
        "kotaemon_llm_seconds",
        "histogram",
        "What the language model adds to a turn: prompt sent until answered, tools included.",
        buckets_s=buckets.CALL_S,
    ),
    MetricRow(
        "kotaemon_plugin_calls_total",
        "counter",
        "Calls of tools: done, failed, or unknown.",
        ("plugin", "outcome"),
    ),
    MetricRow(
        "kotaemon_store_seconds",
        "histogram",
        "The session store's answers, by script; read: pipelines without one. What it confirms and"
        " waiting for a connection are part of it.",
        ("operation",),
        buckets.STORE_S,
    ),
    MetricRow(
        "kotaemon_store_refusals_total",
        "counter",
        "Requests and heartbeats that the session store failed: it is full, unwritable or silent, "
        "or all connections to it were busy.",
        ("reason",),
    ),
    MetricRow(
        "kotaemon_unconfirmed_writes_total",
        "counter",
        "Writes that were not confirmed in time as DURABILITY asks, so that nobody was told; they "
        "are repeated.",
    ),
    MetricRow(
        "kotaemon_heartbeat_gap_seconds",
        "histogram",
        "Between two heartbeats that the session store took; due are 0.5, after 2 a pod is dead.",
        buckets_s=buckets.GAP_S,
    ),
    MetricRow(
        "kotaemon_loop_lag_seconds",
        "histogram",
        "How much longer than asked a short wait took: the loop, or the machine, was busy.",
        buckets_s=buckets.LAG_S,
    ),
    MetricRow(
        "kotaemon_spans_total",
        "counter",
        "Spans of traces: exported; dropped, because too many waited; or failed, because the "
        "collector did not take them.",
        ("outcome",),
    ),
    MetricRow("kotaemon_ready", "gauge", "1 when this pod can serve, else 0."),
    MetricRow(
        "kotaemon_http_requests_total",
        "counter",
        "Requests answered, by route pattern.",
        ("route", "method", "status"),
    ),
    MetricRow(
        "kotaemon_error_answers_total",
        "counter",
        "Requests answered with an error of the API, by its code.",
        ("code",),
    ),
    MetricRow(
        "kotaemon_http_request_seconds",
        "histogram",
        "Request read until its answer began.",
        ("route",),
        buckets.HTTP_S,
    ),
    MetricRow(
        "kotaemon_seals_refused_total",
        "counter",
        "Sealed values that were not opened: their key was destroyed, they were altered or moved, "
        "this pod lacks the master key, or they are not sealed where that is refused.",
        ("reason",),
    ),
    *ACTING_CATALOGUE,
    *USE_CATALOGUE,
    *AUDIT_CATALOGUE,
)
