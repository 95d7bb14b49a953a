"""How a request is counted: once, at the place where it is known what it wants.

| route                                   | counted                                               |
|-----------------------------------------|-------------------------------------------------------|
| one that asks for a turn                | when the turn is handed in: with its tokens, its cost |
|                                         | and, where it is followed, its stream; one that never |
|                                         | got there for its own fault counts at its end         |
| one that is followed                    | when it is opened, with its stream; one that never    |
|                                         | got there for its own fault counts at its end         |
| one that comes back to a turn, or ends  | before it begins, as no request up to ten times of a  |
| it                                      | turn that was counted; with its stream                |
| every other one that asks for a caller  | before it begins                                      |
| public ones; who am I, what have I left | not at all                                            |
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from flask import Response, g, request

from kotaemon_node.api.context import client_address, principal, services
from kotaemon_node.api.openai.errors import speaks_openai
from kotaemon_node.api.streams import StreamSlots
from kotaemon_node.api.use_desk import UseDesk
from kotaemon_node.domain.errors import LimitReached, NodeError, StoreUnavailable
from kotaemon_node.domain.session import Principal, TurnKey, TurnRequest
from kotaemon_node.engine.settling import turn_name
from kotaemon_node.ports.sessions import ClaimOutcome
from kotaemon_node.ports.use import Level, OpenStream, User, Verdict, Wanted

_ASK_FOR_TURNS: Final = frozenset(
    {"chat.chat", "chat.ask", "openai.complete", "turns.create_turn", "channels.receive"}
)
_FOLLOWED: Final = frozenset(
    {"sessions.stream_session", "turns.stream_turn", "websocket.chat", "voice.talk"}
)
_FREE: Final = frozenset({"login.me", "limits.read_limits"})
WINDOWS_S: Final = {"requests": 60, "tokens": 60, "cost": 86_400, "upload_bytes": 86_400}
_BEGIN: Final = frozenset({ClaimOutcome.OWNED, ClaimOutcome.QUEUED})
_TOLD: Final = frozenset({"requests", "tokens"})
"""Limits that headers tell of, which take whole numbers; ``GET /v1/limits`` tells of all."""
_MARK: Final = "use_levels"
"""Where in ``g`` the limits stand as they were when the request was counted."""


def user(caller: Principal | None = None) -> User:
    """Return whose use the request is."""
    desk = services().use
    assert desk is not None
    return desk.user(caller or principal(), client_address())


def count_request(endpoint: str) -> None:
    """Count a request that is known to want nothing else; raises ``LimitReached``."""
    desk = services().use
    if desk is None or endpoint in _ASK_FOR_TURNS | _FOLLOWED | _FREE:
        return
    wanted = Wanted(requests=1)
    if endpoint == "turns.cancel_turn":
        wanted = Wanted(requests=1, turn=_turn_of_path(), comes_back=True)
    if endpoint == "uploads.upload_documents":
        wanted = Wanted(requests=1, upload_bytes=request.content_length or 0)
    _take(desk, user(), wanted)


def count_refused(endpoint: str, status: int) -> None:
    """Count a request that counts where it is answered, and never got there for its own fault.

    Whoever has no requests left is told that, and not what was wrong: raises ``LimitReached``, and
    ``StoreBusy``.
    """
    desk = services().use
    if desk is None or endpoint not in _ASK_FOR_TURNS | _FOLLOWED or not 400 <= status < 500:
        return
    if g.get("principal") is None or g.get(_MARK) is not None or status == 429:
        return
    _take(desk, user(), Wanted(requests=1))


def count_upload(sent_bytes: int) -> None:
    """Count what arrived of an upload whose length was not said before; ``LimitReached``."""
    desk = services().use
    if desk is not None and not request.content_length:
        _take(desk, user(), Wanted(upload_bytes=sent_bytes))


@contextmanager
def trying(shown: str, *, once: bool = True) -> Iterator[None]:
    """Watch who tries the credential that is judged within; raises ``LimitReached``.

    ``once``: see ``CredentialGuard.watching``.
    """
    guard = services().guard
    if guard is None:
        yield
        return
    with guard.watching(shown, client_address(), once=once):
        yield


def count_said(key: TurnKey | None = None) -> None:
    """Count what was said on a connection and is no turn; ``LimitReached``, ``StoreBusy``.

    ``key``: the turn that is come back to, or ended.
    """
    desk = services().use
    if desk is not None:
        name = turn_name(key) if key is not None else ""
        _take(desk, user(), Wanted(requests=1, turn=name, comes_back=bool(name)))


def counted(asked: TurnRequest, submit: Callable[[TurnRequest], ClaimOutcome]) -> ClaimOutcome:
    """Count a turn and hand it in; raises ``LimitReached``, ``StoreBusy`` before.

    What was reserved is given back where the turn is refused, or is there already: who handed it in
    before reserved for it. Where the store fell silent nobody knows whether it was accepted: there
    it is settled by whoever ends it, or counts as it was reserved.
    """
    desk = services().use
    if desk is None:
        return submit(asked)
    one, place = user(asked.principal), g.get("stream_place")
    name, stream = turn_name(asked.key), place.stream_id if place is not None else ""
    verdict = _take(desk, one, desk.turn(one, name=name, stream=stream))
    if place is not None:
        place.took()
    try:
        outcome = submit(asked)
    except StoreUnavailable:
        raise
    except NodeError:
        if verdict is not None:
            desk.forget(one, name)
        raise
    if verdict is not None and outcome not in _BEGIN:
        desk.forget(one, name)
    return outcome


class StreamPlace:
    """The place of one stream among those that its caller may have; given back with the slot."""

    def __init__(self, desk: UseDesk, one: User, *, turn: str) -> None:
        """``turn``: the one that is followed, by ``turn_name``; "" where none is named."""
        self._desk = desk
        self._user = one
        self._turn = turn
        self._open = OpenStream(one.tenant, one.subject, turn)
        self._sharing = bool(turn) and desk.shares(self._open)
        if not self._sharing:
            self._open = OpenStream(one.tenant, one.subject, services().ids.new_id())
        self._taken = False
        self._limited = False

    @property
    def stream_id(self) -> str:
        """What names the place for all pods."""
        return self._open.stream

    def take(self) -> None:
        """Take it, unless the turn did that was counted; ``LimitReached``, ``StoreBusy``."""
        if not self._taken:
            wanted = Wanted(
                requests=1, stream=self.stream_id, turn=self._turn, comes_back=bool(self._turn)
            )
            _take(self._desk, self._user, wanted)
            self.took()

    def took(self) -> None:
        """Say that it was counted."""
        if not self._taken:
            self._taken = True
            self._limited = any(one.streams is not None for one in (self._user.own, self._user.all))
            if self._limited:
                self._desk.opened(self._open)

    def give_back(self) -> None:
        """Give it back; may be called again, and without the request's context."""
        if self._sharing:
            self._sharing = False
            self._desk.shared(self._open)
        if self._limited:
            self._limited = False
            self._desk.closed(self._open)


def stream_place(turn_id: str) -> StreamPlace | None:
    """Return the place that the request's stream needs; None where nothing is limited."""
    desk = services().use
    if desk is None:
        return None
    sid = (request.view_args or {}).get("sid", "")
    place = StreamPlace(desk, user(), turn=f"{sid}/{turn_id}" if turn_id else "")
    g.stream_place = place
    return place


def take_stream(place: StreamPlace | None) -> None:
    """Take a place that no turn took; raises ``LimitReached``."""
    if place is not None:
        place.take()


def open_stream() -> StreamPlace | None:
    """Take the place of a connection; raises ``LimitReached``. Its turns need no other."""
    place = stream_place("")
    take_stream(place)
    g.pop("stream_place", None)
    return place


class LimitedSlots:
    """A pod's slot and the caller's place for one stream, given back together."""

    def __init__(self, slots: StreamSlots, place: StreamPlace | None) -> None:
        self._slots = slots
        self._place = place

    def give_back(self) -> None:
        """Give both back, once."""
        try:
            if self._place is not None:
                self._place.give_back()
        finally:
            self._slots.give_back()

    def told_to_come_back(self, *, leaving: bool) -> None:
        """See ``StreamSlots``."""
        self._slots.told_to_come_back(leaving=leaving)


def tell(answer: Response) -> None:
    """Tell in headers how the limits stand, as far as this request was counted."""
    levels: Sequence[Level] = [one for one in g.get(_MARK) or () if one.name in _TOLD]
    if not levels:
        return
    headers = answer.headers
    headers["RateLimit-Policy"] = ", ".join(map(_policy, levels))
    headers["RateLimit"] = ", ".join(
        f'"{_name(one)}";r={_whole(one.left)};t={math.ceil(one.reset_s)}' for one in levels
    )
    if (tightest := _tightest(levels, "requests")) is not None:
        now_s = services().clock.now_s()
        headers["X-RateLimit-Limit"] = str(_whole(tightest.limit))
        headers["X-RateLimit-Remaining"] = str(_whole(tightest.left))
        headers["X-RateLimit-Reset"] = str(math.ceil(now_s + tightest.reset_s))
    if speaks_openai(request.path):
        for name in ("requests", "tokens"):
            if (one := _tightest(levels, name)) is not None:
                headers[f"x-ratelimit-limit-{name}"] = str(_whole(one.limit))
                headers[f"x-ratelimit-remaining-{name}"] = str(_whole(one.left))
                headers[f"x-ratelimit-reset-{name}"] = f"{one.reset_s:.3f}s"


def _take(desk: UseDesk, one: User, wanted: Wanted) -> Verdict | None:
    try:
        verdict = desk.take(one, wanted)
    except LimitReached as error:
        setattr(g, _MARK, error.levels)
        raise
    setattr(g, _MARK, verdict.levels if verdict is not None else ())
    return verdict


def _turn_of_path() -> str:
    path = request.view_args or {}
    return f"{path.get('sid', '')}/{path.get('tid', '')}"


def _tightest(levels: Sequence[Level], name: str) -> Level | None:
    return min((one for one in levels if one.name == name), key=lambda it: it.left, default=None)


def _policy(one: Level) -> str:
    return f'"{_name(one)}";q={_whole(one.limit)};w={WINDOWS_S[one.name]}'


def _name(one: Level) -> str:
    return one.name if one.scope == "principal" else f"tenant-{one.name}"


def _whole(value: float) -> int:
    return math.floor(value)
