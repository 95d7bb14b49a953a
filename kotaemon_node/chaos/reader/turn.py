"""Follows one turn to its end as a good client does: whatever breaks, it comes back for the rest.

The rules:
1. The client chooses the turn id, so that posting twice is harmless.
2. A stream that broke is asked for again at once, with ``Last-Event-ID``; after ``reconnect`` when
   that says. Before the first frame the turn is posted again.
3. Silence is a break: three heartbeats of a running turn (2 s each).
4. A try without any new frame makes the next one wait; their number in a row is bounded.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from kotaemon_node.chaos.reader.events import Broken, Request, Silent
from kotaemon_node.chaos.reader.reading import Arrival, End, Reading, Try

SILENCE_S = 6.0
TRIES_MAX = 60
"""In a row without a new frame: half a minute and more, in which a lost pod is replaced."""
_PAUSE_MIN_S = 0.05
_PAUSE_MAX_S = 1.0
_OK = 200
_RETRIED = frozenset({408, 429, 502, 503, 504})


class TurnReader:
    """One client of one turn: ``TurnReader(url, …).read()``."""

    def __init__(
        self,
        base: str,
        *,
        session_id: str,
        turn_id: str,
        message: str,
        options: Mapping[str, Any] | None = None,
        on_frame: Callable[[Arrival], None] | None = None,
        silence_s: float = SILENCE_S,
        tries_max: int = TRIES_MAX,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``base``: the balancer, or one pod. ``on_frame`` is called in the reading thread.

        ``headers``: those of every request, such as the caller's key.
        """
        self.message = message
        self.reading = Reading(session_id, turn_id)
        self._base = base
        self._turns = f"/v1/sessions/{quote(session_id)}/turns"
        self._body = {"message": message, "turn_id": turn_id, **(options or {})}
        self._headers = dict(headers or {})
        self._on_frame = on_frame
        self._silence_s = silence_s
        self._tries_max = tries_max
        self._request: Request | None = None
        self._left = threading.Event()

    def read(self, *, timeout_s: float = 120.0) -> Reading:
        """Follow to the end, which may be a giving up: see ``Reading.problems``."""
        reading = self.reading
        reading.began_s = time.monotonic()
        deadline_s = reading.began_s + timeout_s
        barren = 0
        while not reading.over:
            before = reading.last_seq
            asked_pause_s = self._try(deadline_s)
            barren = 0 if reading.last_seq > before else barren + 1
            pause_s = max(asked_pause_s, _backoff_s(barren))
            if reading.over:
                break
            if barren > self._tries_max or time.monotonic() + pause_s > deadline_s:
                last = reading.tries[-1]
                reading.problems.append(f"gave up after {barren} tries: {last.end}, {last.reason}")
                break
            self._left.wait(pause_s)
        return reading

    def leave(self) -> None:
        """Hang up and do not come back; from any thread, or from ``on_frame``."""
        self._left.set()
        if self._request is not None:
            self._request.hang_up()

    def _try(self, deadline_s: float) -> float:
        """Follow once; return how many seconds the service asked to stay away."""
        now_s = time.monotonic()
        this = Try(after=self.reading.last_seq, began_s=now_s)
        self.reading.tries.append(this)
        timeout_s = min(self._silence_s, max(0.1, deadline_s - now_s))
        request = self._request = Request(self._base, timeout_s=timeout_s)
        pause_s = 0.0
        try:
            this.status = self._send(request)
            if self._left.is_set():
                request.hang_up()  # whoever left meanwhile had no connection to end
            this.served_by = request.header("X-Served-By")
            if this.status == _OK:
                pause_s = self._follow(request, deadline_s)
            else:
                pause_s = self._refused(request)
        except Silent as error:
            self._end("silent" if this.status else "failed", str(error))
        except Broken as error:
            self._end("cut" if this.status else "failed", str(error))
        finally:
            request.close()
            this.ended_s = time.monotonic()
        if self._left.is_set():
            # Behind its own hanging up a client may still find the end among what had come.
            self.reading.left = self.reading.terminal is None
            this.end = "left" if self.reading.left else "ended"
        return pause_s

    def _send(self, request: Request) -> int:
        if not self.reading.last_seq:
            return request.send("POST", self._turns, headers=self._headers, body=self._body)
        turn_id = self.reading.turn_id
        return request.send(
            "GET",
            f"{self._turns}/{quote(turn_id)}/stream",
            headers={**self._headers, "Last-Event-ID": f"{turn_id}:{self.reading.last_seq}"},
            body=None,
        )

    def _follow(self, request: Request, deadline_s: float) -> float:
        reading = self.reading
        for event in request.events():
            reading.take(event)
            if event.at_s > deadline_s and reading.terminal is None:
                raise Broken("out of time")
            if event.frame is None:
                continue
            if self._on_frame is not None:
                self._on_frame(reading.arrivals[-1])
            if event.frame["type"] == "reconnect":
                self._end("reconnect", "")
                return float(event.frame["retry_ms"]) / 1000
            if reading.refusal is not None:
                self._end("told", str(reading.refusal.get("code")))
                return 0.0
        if reading.terminal is None:
            raise Broken("the stream ended without an end of the turn")
        self._end("ended", "")
        return 0.0

    def _refused(self, request: Request) -> float:
        """Note an error status; one that says so is worth another try."""
        status, error = self.reading.tries[-1].status, request.refusal()
        self._end("refused", f"status {status}: {error.get('code')}")
        if not error.get("retryable", status in _RETRIED):
            self.reading.refusal = {"status": status, **error}
        return _seconds(request.header("Retry-After"))

    def _end(self, end: End, reason: str) -> None:
        this = self.reading.tries[-1]
        this.end, this.reason = end, reason


def _backoff_s(barren: int) -> float:
    """Return the pause before the next try: none behind a try that brought something."""
    return min(_PAUSE_MIN_S * 2.0 ** (barren - 1), _PAUSE_MAX_S) if barren else 0.0


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdigit() else 0.0
