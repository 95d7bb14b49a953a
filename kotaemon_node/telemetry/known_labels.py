"""Labels under which counters are shown from the start, at 0."""

from collections.abc import Mapping
from typing import Final

from kotaemon_node.domain.events import SESSION_UPDATED, TOPICS

# Codes of a turn's error: those that the execution of a turn can raise, and ``turn_crashed``.
_TURN_CODES: Final = (
    "language_model_failed",
    "turn_crashed",
    "internal",
    "overloaded",
    "unavailable",
    "behind",
    "not_found",
    "deadline_exceeded",
)
# Those of errors that tell of the cluster rather than of the request.
_ANSWERED_CODES: Final = (
    "internal",
    "overloaded",
    "unavailable",
    "store_unavailable",
    "store_full",
    "behind",
    "draining",
    "deadline_exceeded",
)
# Counted for each knowledge base that is served.
KNOWN_REFUSALS: Final = (
    "unsigned",
    "unknown_key",
    "bad_signature",
    "misplaced",
    "corrupt",
    "unusable",
)

# How a turn ends for an experiment; counted for each of its arms.
PROFILE_OUTCOMES: Final = ("answered", "unanswered", "failed", "stopped")

# A labelled counter would be absent until its first event, and ``rate()`` would miss that event.
KNOWN_LABELS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "kotaemon_turns_total": (("done",), ("failed",), ("cancelled",), ("interrupted",)),
    "kotaemon_turns_failed_total": tuple((code,) for code in _TURN_CODES),
    "kotaemon_profile_turns_total": tuple(("default", outcome) for outcome in PROFILE_OUTCOMES),
    "kotaemon_feedback_total": (("up",), ("down",)),
    "kotaemon_analytics_total": (("counted",), ("failed",)),
    "kotaemon_audit_records_total": (("stored",), ("failed",), ("late",)),
    "kotaemon_encoder_requests_total": (("answered",), ("failed",), ("skipped",)),
    "kotaemon_neighbour_searches_total": (("store",), ("partly",), ("files",)),
    "kotaemon_seals_refused_total": (
        ("destroyed",),
        ("altered",),
        ("master_key_missing",),
        ("unsealed",),
    ),
    "kotaemon_reconnects_total": (("leaving",), ("error",)),
    "kotaemon_spans_total": (("exported",), ("dropped",), ("failed",)),
    "kotaemon_session_cache_total": (
        ("hit",),
        ("partial",),
        ("miss",),
        ("stale",),
        ("rolled_back",),
    ),
    "kotaemon_answer_cache_total": (
        ("hit",),
        ("similar",),
        ("joined",),
        ("made",),
        ("first",),
        ("skipped",),
        ("unavailable",),
    ),
    "kotaemon_retrieval_cache_total": (("hit",), ("miss",)),
    "kotaemon_sessions_gone_total": (("rolled_back",), ("wiped",), ("turn",)),
    "kotaemon_sessions_restored_total": (
        ("restored",),
        ("unavailable",),
        ("missing",),
        ("corrupt",),
    ),
    "kotaemon_events_total": (
        *((topic, outcome) for topic in TOPICS for outcome in ("handled", "ignored", "poison")),
        *((SESSION_UPDATED, outcome) for outcome in ("sent", "failed", "dropped", "spared")),
    ),
    "kotaemon_llm_tokens_total": (("prompt",), ("completion",)),
    "kotaemon_citation_marks_total": (("kept",), ("replaced",), ("dropped",)),
    "kotaemon_error_answers_total": tuple((code,) for code in _ANSWERED_CODES),
    "kotaemon_store_refusals_total": (("full",), ("unwritable",), ("silent",), ("busy",)),
}
