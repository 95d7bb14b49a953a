"""One question of a user, over any number of connections, as the page asks it.

Law: whatever breaks, the same turn is asked for again until ``ANSWER_S`` is over: by its number,
where a frame of it came, else by the same question under the same id.
"""

from collections.abc import Callable
from typing import Final

from load.scenarios.watched import Events, Watched, WrongAnswer
from load.soak import sent
from load.soak.lines import Line
from load.soak.plan import up_ms
from load.soak.tally import REFUSAL_BYTES, Around, refusal

ANSWER_S: Final = 75.0
"""An answer that has not ended so long after it was due is an error."""
_AGAIN_S: Final = (0.3, 1.5)


class Question:
    """A turn from when it is due to its end."""

    __slots__ = (
        "_around", "_due_s", "_events", "_line", "_over", "_refusal", "_spoke", "_text",
        "_watched", "_where",
    )  # fmt: skip

    def __init__(
        self,
        around: Around,
        where: str,
        watched: Watched,
        text: str,
        *,
        due_s: float,
        over: Callable[[Watched | None, float], None],
    ) -> None:
        """``where``: the session. ``over``: told the whole turn, or None where it was wrong."""
        self._around = around
        self._where = where
        self._watched = watched
        self._text = text
        self._due_s = due_s
        self._over = over
        self._events = Events()
        self._line: Line | None = None
        self._refusal = b""
        self._spoke = False

    def ask(self, _due_s: float = 0.0) -> None:
        """Send it; again, go on behind the last frame that came."""
        watched = self._watched
        self._events, self._refusal = Events(), b""
        request = (
            sent.go_on(self._where, watched.turn_id, watched.last_id)
            if watched.last
            else sent.ask(self._where, watched.turn_id, self._text)
        )
        self._line = self._around.lines.open(request, self)

    def look(self, now_s: float) -> None:
        """Give up where the time is over."""
        if now_s - self._due_s > ANSWER_S:
            self._wrong("it did not end in time", now_s)

    def piece(self, line: Line, body: bytes, now_s: float) -> None:
        """Take what came."""
        if line.response.status != 200:
            self._refusal = (self._refusal + body)[:REFUSAL_BYTES]
            return
        try:
            for event in self._events.feed(body):
                if event.type == "reconnect":
                    self._around.tally.sent_away += 1
                    self._again()
                    return
                self._watched.take(event)
        except WrongAnswer as error:
            self._wrong(str(error), now_s)
            return
        self._note(now_s)

    def over(self, line: Line, why: str, now_s: float) -> None:
        """The line is closed before the end."""
        if line.response.status in {0, 200}:
            self._around.tally.cut_off += 1
        else:
            self._around.tally.refused[refusal(line, self._refusal)] += 1
        self._again()

    def _note(self, now_s: float) -> None:
        tally, took_ms = self._around.tally, up_ms(now_s - self._due_s)
        if self._watched.text and not self._spoke:
            self._spoke = True
            tally.first_ms[took_ms] += 1
        if self._watched.end is not None:
            tally.whole_ms[took_ms] += 1
            tally.answered += 1
            self._hang_up()
            self._over(self._watched, now_s)

    def _again(self) -> None:
        self._hang_up()
        self._around.later(self._around.between(*_AGAIN_S), self._ask_again)

    def _ask_again(self, due_s: float) -> None:
        if self._line is None and self._watched.end is None and not self._spent(due_s):
            self._around.tally.reconnects += 1
            self.ask()

    def _spent(self, now_s: float) -> bool:
        return now_s - self._due_s > ANSWER_S

    def _wrong(self, why: str, now_s: float) -> None:
        self._around.tally.errors[f"an answer: {why}"] += 1
        self._hang_up()
        self._over(None, now_s)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._around.lines.close(self._line)
            self._line = None
