"""A turn from its message to its last frame, through pods that die: a flow.

Rule 1: every try names the same turn id, so that the message is answered once.
Rule 2: what was shown is not shown again: a try asks for what follows the last frame.
Rule 3: tries that bring nothing new are bounded; any new frame sets them back.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from kotaemon_node.client import values
from kotaemon_node.client.assembling import Assembly, OutOfPlace, with_sources
from kotaemon_node.client.calls import asking, problem_of, said_pause_s, turn_path
from kotaemon_node.client.config import PAUSE_MAX_S, Config
from kotaemon_node.client.errors import RETRIED, KotaemonError, Misfit, error_in_stream
from kotaemon_node.client.events import Events
from kotaemon_node.client.frames import Frame
from kotaemon_node.client.steps import Broken, Close, Emit, Flow, Open, Read, Reply, Request, Sleep
from kotaemon_node.client.values import Answer

_EVENT_STREAM = "text/event-stream"


def new_turn_id() -> str:
    """Return an id of 128 random bits."""
    return secrets.token_hex(16)


@dataclass(slots=True)
class Turn:
    """What is asked, and what is known of its answer so far."""

    config: Config
    session_id: str
    turn_id: str
    body: Mapping[str, Any] | None
    """Of the message; None: the turn was begun by somebody else and is only read."""
    known: Assembly = field(init=False)
    _ended_by: KotaemonError | None = None
    _tries: int = 0
    _misfits: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing known."""
        self.known = Assembly(self.session_id, self.turn_id)

    def frames(self) -> Flow[None]:
        """Emit each frame once, to ``done``; raises what ends the turn or the tries."""
        try:
            yield from self._frames()
        except KotaemonError as error:
            self._ended_by = error
            raise

    def _frames(self) -> Flow[None]:
        while self.known.done is None:
            before = self.known.last
            opened = yield Open(self._request(), self.config.silence_s)
            if isinstance(opened, Reply) and opened.status < 400:
                pause_s = yield from self._read()
            else:
                pause_s = self._refused(opened)
            yield Close()
            if self.known.done is not None:
                return
            self._tries = 1 if self.known.last > before else self._tries + 1
            yield Sleep(self.config.pause_s(self._tries) if pause_s is None else pause_s)

    def answer(self) -> Flow[Answer]:
        """Return the finished turn, complete also where frames were no longer kept.

        Raises what ended its frames, however often it is asked; ``Unfinished`` where nothing did.
        """
        if self._ended_by is not None:
            raise self._ended_by
        answer = self.known.answer()
        if self.known.by_snapshot:
            path = turn_path(self.session_id, self.turn_id)
            stored = yield from asking(
                self.config,
                Request("GET", path),
                lambda raw: values.turn_answer(raw, self.session_id),
            )
            return with_sources(answer, stored)
        return answer

    def _request(self) -> Request:
        headers = {"Accept": _EVENT_STREAM}
        if self.body is not None and not self.known.last:
            path = f"/v1/sessions/{quote(self.session_id, safe='')}/turns"
            return Request("POST", path, json=dict(self.body), headers=headers)
        if self.known.last:
            headers["Last-Event-ID"] = f"{self.turn_id}:{self.known.last}"
        return Request("GET", f"{turn_path(self.session_id, self.turn_id)}/stream", headers=headers)

    def _refused(self, opened: Reply | Broken) -> float | None:
        """Return the pause that was asked for, if one was; raises where no try is left."""
        problem = problem_of(opened, self.config.endpoint)
        status = opened.status if isinstance(opened, Reply) else 0
        if (status and status not in RETRIED) or self._tries >= self.config.retries:
            raise problem
        told_s = said_pause_s(opened)
        return None if told_s is None else self.config.pause_s(self._tries + 1, told_s)

    def _read(self) -> Flow[float | None]:
        """Emit what comes; return the pause that was asked for when the stream breaks off."""
        events = Events()
        try:
            while self.known.done is None:
                chunk = yield Read()
                if isinstance(chunk, Broken) or not chunk:
                    self._unless_spent("the stream broke off again and again")
                    return None
                for raw in events.feed(chunk):
                    if raw.get("type") == "reconnect":
                        self._unless_spent("every pod sent the reader away")
                        return min(float(raw.get("retry_ms", 0)) / 1000, PAUSE_MAX_S)
                    for frame in self._taken(raw):
                        yield Emit(frame)
        except OutOfPlace as reason:
            yield from self._anew(reason)
        return None

    def _taken(self, raw: Mapping[str, Any]) -> Sequence[Frame]:
        """Return the frames to show; raises the error that a frame tells of."""
        if raw.get("type") == "error":
            raise error_in_stream(raw, numbered=raw.get("seq") is not None)
        return self.known.take(raw)

    def _anew(self, reason: OutOfPlace) -> Flow[None]:
        """Read from the first frame, once; never as a new message: the turn is there."""
        self._misfits += 1
        if self._misfits > 1:
            raise Misfit(str(reason), code="misfit", trace_id=self.known.trace_id) from None
        self.body = None
        if self.known.last:
            yield Emit(self.known.begin_again())

    def _unless_spent(self, reason: str) -> None:
        if self._tries >= self.config.retries:
            raise problem_of(Broken(reason), self.config.endpoint)


def body_of(
    text: str,
    *,
    turn_id: str,
    intent_filter: str | list[str] | None,
    kb: str | None,
    min_generation: int | None,
    on_busy: str | None,
    epoch: str | None,
) -> Mapping[str, Any]:
    """Return the body of a message; only what was said."""
    intents = [intent_filter] if isinstance(intent_filter, str) else intent_filter
    said = {
        "message": text, "turn_id": turn_id, "intent_filter": intents, "kb": kb,
        "min_generation": min_generation, "on_busy": on_busy, "epoch": epoch,
    }  # fmt: skip
    body = {name: value for name, value in said.items() if value is not None}
    json.dumps(body)  # raises TypeError here and not within a try
    return body
