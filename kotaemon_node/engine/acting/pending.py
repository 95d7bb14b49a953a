"""Proposals: calls that wait for a yes. Made by hooks and by a language model's calls alike."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from kotaemon_node.domain.acting_limits import ACTION_CHARS_MAX, PENDING_AGE_MAX_S
from kotaemon_node.domain.dialogue import DialogueState, Pending, Wanted
from kotaemon_node.domain.session import SessionView
from kotaemon_node.engine.acting.sentences import sentence
from kotaemon_node.engine.answer_draft import Draft
from kotaemon_node.engine.language import language_of_turn
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Effects

Stale = Literal["", "answered", "expired"]

_ASKS: Final = re.compile(
    r"[?？吗]|\b(?:yes or no|shall (?:i|we)|would you like|do you want)\b", re.I
)
"""Marks of a text that asks something; one too many costs a "please say it again"."""


def stale(asked: Pending | Wanted, session: SessionView, *, now: float) -> Stale:
    """Return why what was ``asked`` is not answered by a message that came at ``now``; "": it is.

    ``answered``: the last question was another one, or a person had the session since. Only
    follow-ups that ask nothing may stand between.
    """
    if not 0 <= now - asked.asked_at <= PENDING_AGE_MAX_S:
        return "expired"
    for followed, turn in enumerate(reversed(session.turns)):
        if turn.turn_id == asked.asked_by:
            # What people said and did is told the bot as less turns than it was, or not at all.
            return "" if session.version - turn.version == followed else "answered"
        if turn.message or turn.author or turn.event or _ASKS.search(turn.answer):
            break
    return "answered"


def propose(
    work: Work,
    draft: Draft,
    *,
    plugin: str,
    arguments: Mapping[str, Any],
    summary: str,
    effects: Effects,
    version: str = "",
) -> str:
    """Let a call of ``plugin`` wait for a yes in the session, and return the question to ask.

    The last one of a turn is the one that waits. What is too large to be kept, or to be read, is
    not proposed: the sentence that is returned says so.
    """
    language = language_of_turn(work)
    state = draft.state or work.session.state
    pending = Pending(
        plugin=plugin,
        arguments=dict(arguments),
        summary=summary,
        effects=effects,
        asked_at_version=work.session.version,
        plugin_version=version,
        asked_by=work.lease.key.turn_id,
        asked_at=work.created_at,
    )
    if not pending.fits or len(summary) > ACTION_CHARS_MAX:
        draft.state = replace(state, pending=None)
        return sentence("too_large", language)
    draft.state = replace(state, pending=pending)
    return sentence("confirm", language, summary=summary)


def without_open_questions(state: DialogueState) -> DialogueState:
    """Return ``state`` with nothing that waits for an answer."""
    return replace(state, pending=None, wanted=None)
