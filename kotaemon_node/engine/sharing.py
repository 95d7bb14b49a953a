"""Which answers may be shared: nothing took part in them but question, knowledge and recipe."""

from collections.abc import Sequence
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.channels import beside_channel
from kotaemon_node.domain.knowledge import GenerationRef, SearchResult
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.given import Given
from kotaemon_node.engine.journal import RETRIEVAL
from kotaemon_node.ports.tools import ToolSpec

_FIRST_ROUND: Final = "round:1"
"""Journalled where the language model called tools."""


def why_made(turn: Answering, *, by: str, tools: Sequence[ToolSpec]) -> str:
    """Return why the answer of a turn is neither looked up nor kept; "" where it may be."""
    session = turn.work.session
    with_history = turn.asked.from_history or (by and (session.turns or session.summary))
    reasons = {
        "history": with_history,
        "user": beside_channel(session.context),
        "given": Given.of(turn.work).shapes,
        "tools": any(spec.effects != "read" for spec in tools),
        "long": len(turn.asked.search) > limits.HOT_QUESTION_CHARS_MAX,
        # By an earlier owner, perhaps with another generation.
        "begun": turn.out.decided(RETRIEVAL) is not None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def may_be_kept(turn: Answering, ref: GenerationRef, found: SearchResult) -> bool:
    """Tell whether what was written is the answer that was named, and nothing else took part."""
    # The pod may have come to another generation between the look and the search.
    as_named = (found.generation, found.digest) == (ref.generation, ref.digest)
    called = turn.out.decided(_FIRST_ROUND) is not None
    return as_named and not called and not turn.draft.degraded and bool(turn.out.answer)
