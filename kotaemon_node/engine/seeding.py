"""A talk that began elsewhere: what a session's context tells of it is read before its first turn.

Rule 1: it is read as exchanges of the history, by rules, prompts, plugins and the summary alike.
Rule 2: it leaves the history as the oldest turns do: with the first summary, and with a context
    that ends because the session lay idle.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.session import SessionView, Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Work

HISTORY: Final = "history"
"""Under this name a context has messages ``{role: user | assistant, content}``, oldest first."""


def with_seed(work: Work) -> Work:
    """Return ``work`` with what was said before the session as its first exchanges."""
    session = work.session
    told = session.context.get(HISTORY)
    if not isinstance(told, list) or not _from_the_beginning(session):
        return work
    return replace(work, session=replace(session, turns=(*exchanges(told), *session.turns)))


def exchanges(messages: Sequence[Any]) -> tuple[Turn, ...]:
    """Return the newest exchanges that ``messages`` tell of, as turns of version 0.

    What one side says several times in a row is one text. What is no message is passed over: the
    route checks, but a session may be older than its rules.
    """
    told: list[tuple[str, str]] = []
    for role, text in map(_said, messages):
        if role == "user" and (not told or told[-1][1]):
            told.append((text, ""))
        elif role == "user":
            told[-1] = (_joined(told[-1][0], text), "")
        elif role == "assistant":
            asked, answer = told.pop() if told else ("", "")
            told.append((asked, _joined(answer, text)))
    first = max(0, len(told) - MAX_HISTORY_TURNS)
    return tuple(
        Turn(f"{HISTORY}:{number}", asked, State.DONE, answer=answer)
        for number, (asked, answer) in enumerate(told[first:], start=first + 1)
    )


def _from_the_beginning(session: SessionView) -> bool:
    """Tell whether all turns since the session began are read."""
    if session.summary_to:
        return False
    return session.version == 0 or bool(session.turns and session.turns[0].version == 1)


def _said(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict):
        return "", ""
    role, text = message.get("role"), message.get("content")
    known = isinstance(role, str) and isinstance(text, str)
    return (str(role), str(text)) if known else ("", "")


def _joined(before: str, text: str) -> str:
    return f"{before}\n{text}" if before else text
