"""Which turn a request is: the same request again, to whichever pod, finds the same turn.

Rule 1: session and turn follow from the caller and ``Idempotency-Key``; another body under the same
    key is a conflict.
Rule 2: without a key they follow from the caller and a digest of the body, for ``CHAT_REPEAT_S``
    from when the turn was accepted. One that failed or was ended counts no more: the next request
    tries again.
Rule 3: ``X-Session-ID`` names a session that stays: the turn is one of its turns, and its history
    is the one that counts. There the same words may mean something else each time: "yes", "more".
    So without a key a request is a new turn, unless the session's newest turn has the same body and
    still runs, or the client says that it repeats itself and that turn ended ``CHAT_AGAIN_S`` ago
    at most. What the balancer sends again is the same turn whatever became of it.

Nothing is kept for this: the ids of turns say it. Of rule 2 the digest of a time window is part of
them, and the window before is looked at, too; of rule 3 the digest of the body.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flask import request

from kotaemon_node.api.asking import TURN_DEFAULT_HEADER, open_mode
from kotaemon_node.api.context import principal, services, session_key
from kotaemon_node.api.openai.errors import Refused
from kotaemon_node.domain.door_limits import (
    CHAT_AGAIN_S,
    CHAT_CLOCKS_APART_S,
    CHAT_REPEAT_S,
    CHAT_TRIES_MAX,
)
from kotaemon_node.domain.errors import SessionNotFound, TurnNotFound
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.limits import IDEMPOTENCY_KEY_CHARS_MAX
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED, State

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
SESSION_HEADER: Final = "X-Session-ID"
AGAIN_HEADER: Final = "X-Stainless-Retry-Count"
"""How often OpenAI's SDKs have sent a request before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the turn of a request is."""

    key: TurnKey
    alone: bool
    """Whether the session is made for it."""

    @property
    def create(self) -> bool:
        """Whether a session that is not there is made."""
        return self.alone or open_mode()


def place_of(digest: str) -> Place:
    """Return where the turn of the request under way is; ``digest`` is that of its body.

    Raises ``Refused``, ``Malformed``, and what reading a turn does but that it is not there.
    """
    session = request.headers.get(SESSION_HEADER, "").strip()
    named = request.headers.get(IDEMPOTENCY_HEADER, "").strip()
    if len(named) > IDEMPOTENCY_KEY_CHARS_MAX:
        raise Refused(f"{IDEMPOTENCY_HEADER} has more than {IDEMPOTENCY_KEY_CHARS_MAX} characters.")
    if named:
        return _place(f"key {named}", session)
    return _within(digest, session) if session else _unnamed(digest)


def _within(digest: str, session: str) -> Place:
    """Return the place of a request that names its session and no key."""
    key = session_key(session)
    body = _hashed("body", session, digest)
    newest = _newest(key, again=request.headers.get(AGAIN_HEADER, "0").strip() not in {"", "0"})
    if newest.startswith(f"chat-{body}"):
        return Place(TurnKey(key, newest), alone=False)
    sent = request.headers.get(TURN_DEFAULT_HEADER) or services().ids.new_id()
    return Place(TurnKey(key, f"chat-{body}{_hashed('sent', session, sent)}"), alone=False)


def _newest(key: SessionKey, *, again: bool) -> str:
    """Return the id of the session's newest turn, if a request may be the same; else "".

    It runs or waits; or, of a request that is sent ``again``, it was answered just now.
    """
    sessions, caller = services().sessions, principal()
    try:
        view = sessions.load(key, caller, after_version=0, limit=0)
        now = sessions.activity(key, caller, after_version=max(0, view.version - 1), limit=8)
    except SessionNotFound:
        return ""
    if now.open:
        return now.open[-1]
    if not again or not now.past:
        return ""
    newest = now.past[-1]
    ended_s = services().clock.now_s() - view.active_at
    just_now = newest.state is State.DONE and ended_s <= CHAT_AGAIN_S + CHAT_CLOCKS_APART_S
    return newest.turn_id if just_now else ""


def _unnamed(digest: str) -> Place:
    now_s = services().clock.now_s()
    window, passed_s = divmod(int(now_s), CHAT_REPEAT_S)
    # A pod whose clock is ahead may have begun the next one.
    ahead = passed_s > CHAT_REPEAT_S - CHAT_CLOCKS_APART_S
    for other in (window - 1, window + 1) if ahead else (window - 1,):
        for place in _tries(digest, other):
            turn = _turn(place.key)
            if turn is None:
                break
            if _counts(turn, now_s):
                return place
    for place in _tries(digest, window):
        turn = _turn(place.key)
        if turn is None or _counts(turn, now_s):
            break
    return place


def _tries(digest: str, window: int) -> Iterator[Place]:
    for number in range(CHAT_TRIES_MAX):
        yield _place(f"body {digest} {window} {number}", "")


def _counts(turn: Turn, now_s: float) -> bool:
    if turn.state not in FINISHED:
        return True
    return turn.state is State.DONE and now_s - turn.created_at < CHAT_REPEAT_S


def _turn(key: TurnKey) -> Turn | None:
    try:
        return services().sessions.turn(key, principal())
    except (SessionNotFound, TurnNotFound):
        return None


def _place(seed: str, session: str) -> Place:
    caller = principal()
    # No part holds a line break, so no two lists of parts read the same.
    whole = f"chat\n{caller.tenant}\n{caller.subject}\n{session}\n{seed}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:32]
    turn_id = f"chat-{digest}"
    if session:
        return Place(TurnKey(session_key(session), turn_id), alone=False)
    authority = services().authority
    made = authority.mint(caller, seed=f"chat {digest}") if authority else digest
    return Place(TurnKey(session_key(made), checked_id("turn id", turn_id)), alone=True)


def _hashed(kind: str, session: str, seed: str) -> str:
    """Return half of a turn's id; both are as long as the one of other turns."""
    caller = principal()
    whole = f"{kind}\n{caller.tenant}\n{caller.subject}\n{session}\n{seed}"
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
