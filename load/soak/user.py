"""One connected user: a session whose stream is open, and a question now and then.

The session's stream has to tell each turn as whole as the asker's own stream did. A line that is
cut is no error where the user comes back and lacks nothing; it is counted.
"""

import json
from typing import Final

from load.scenarios.watched import Event, Events, Watched, WrongAnswer, frame_turn
from load.soak import sent
from load.soak.lines import Line
from load.soak.question import Question
from load.soak.tally import REFUSAL_BYTES, Around, refusal

SILENT_S: Final = 65.0
"""Of a session's stream: three heartbeats."""
TOLD_S: Final = 30.0
"""When one of the two streams told an answer, the other one has to within this time."""
_BACK_S: Final = (0.05, 2.0)
_LEFT_S: Final = (0.3, 1.5)


class User:
    """Somebody whose page is open."""

    __slots__ = (
        "_around", "_coming", "_events", "_first", "_known", "_last_id", "_stream", "_turns",
        "_turns_max", "_wanted", "connected", "question", "session_id",
    )  # fmt: skip

    def __init__(self, around: Around, *, turns_max: int) -> None:
        self._around = around
        self._turns_max = turns_max
        self.session_id = ""
        self.connected = False
        self.question: Question | None = None
        """What is asked now."""
        self._last_id = ""
        self._stream: Line | None = None
        self._known = False
        self._turns = 0
        self._first: tuple[float, str] | None = None
        """What is asked as soon as the new session is followed, and when it was due."""
        self._events = Events()
        self._coming: dict[str, Watched | None] = {}
        """Turns that the stream tells now; None: something was wrong, the rest is passed over."""
        self._wanted: dict[str, tuple[str, float]] = {}
        """Answers that one of the two streams told, for the other, and until when that has to."""

    def come(self, _due_s: float) -> None:
        """Make the session, and follow it."""
        self._around.lines.open(sent.new_session(), _Making(self, self._around))

    def follow(self, _due_s: float = 0.0) -> None:
        """Open the session's stream behind what is known of it."""
        if self._stream is not None or not self.session_id:
            return  # another one came meanwhile
        self._events = Events()
        request = sent.follow(self.session_id, self._last_id)
        self._stream = self._around.lines.open(request, _Following(self, self._around))

    def ask(self, due_s: float, text: str) -> None:
        """Ask, where the answer before is there; the time counts from when it was due."""
        if self.question is not None or self._first is not None:
            self._around.tally.skipped += 1
            return
        if self._turns >= self._turns_max and self.settled:
            self._begin_anew(due_s, text)
            return
        self._turns += 1
        self._around.tally.asked += 1
        watched = Watched(f"t{self._turns}")
        self.question = Question(
            self._around, self.session_id, watched, text, due_s=due_s, over=self._answered
        )
        self.question.ask()

    def begun(self, session_id: str) -> None:
        """The session is there."""
        self._around.tally.sessions += 1
        self.session_id = session_id
        self.follow()

    def cut(self) -> None:
        """Hang up in the middle of whatever there is, and come back."""
        if self.connected and self._last_id:
            self._around.tally.cuts += 1
            self.left(self._around.between(*_BACK_S))

    def left(self, back_s: float) -> None:
        """Hang up, if it is not done, and come back."""
        if self._stream is not None:
            self._around.lines.close(self._stream)
        self._stream, self.connected = None, False
        self._around.later(back_s, self.follow)

    def welcome(self) -> None:
        """The stream is open."""
        if self._known:
            self._around.tally.reconnects += 1
        else:
            self._around.opened()
        self.connected = self._known = True
        first, self._first = self._first, None
        if first is not None:
            self.ask(*first)

    def tell(self, received: bytes, now_s: float) -> bool:
        """Take what the session's stream says; returns whether it sends the user away."""
        self._events.beats = 0
        away = False
        for event in self._events.feed(received):
            self._last_id = event.id or self._last_id
            away = away or event.type == "reconnect"
            self._take(event, now_s)
        self._around.tally.heartbeats += self._events.beats
        return away

    def look(self, now_s: float) -> None:
        """Find what did not come in time."""
        if self.question is not None:
            self.question.look(now_s)
        if self._stream is not None and now_s - self._stream.heard_s > SILENT_S:
            self._around.tally.errors["the session's stream said nothing"] += 1
            self.left(self._around.between(*_LEFT_S))
        for turn_id in [name for name, (_, until_s) in self._wanted.items() if until_s < now_s]:
            del self._wanted[turn_id]
            self._around.tally.errors["only one of the two streams told a turn"] += 1

    @property
    def settled(self) -> bool:
        """Nothing is asked or waited for."""
        return self.question is None and self._first is None and not self._wanted

    def _begin_anew(self, due_s: float, text: str) -> None:
        """Somebody else comes in the place of this user, with a session of their own, and asks."""
        if self._stream is not None:
            self._around.lines.close(self._stream)
        self._stream, self.connected, self._known = None, False, False
        self.session_id, self._last_id, self._turns = "", "", 0
        self._coming.clear()
        self._first = (due_s, text)
        self.come(due_s)

    def _answered(self, watched: Watched | None, now_s: float) -> None:
        self.question = None
        if watched is not None:
            self._same(watched, now_s)

    def _take(self, event: Event, now_s: float) -> None:
        if event.frame.get("seq") is None:
            return
        turn_id = frame_turn(event)
        if turn_id not in self._coming:
            self._coming[turn_id] = Watched(turn_id)
        watched = self._coming[turn_id]
        if watched is None:
            if event.type in {"done", "error"}:
                del self._coming[turn_id]
            return
        try:
            watched.take(event)
        except WrongAnswer as error:
            self._around.tally.errors[f"the session's stream: {error}"] += 1
            self._coming[turn_id] = None
            return
        if watched.end is not None:
            del self._coming[turn_id]
            self._same(watched, now_s)

    def _same(self, watched: Watched, now_s: float) -> None:
        """One of the two streams told a whole answer: compare it, or wait for the other's."""
        other = self._wanted.pop(watched.turn_id, None)
        if other is None:
            self._wanted[watched.turn_id] = (watched.text, now_s + TOLD_S)
        elif other[0] != watched.text:
            self._around.tally.errors["the two streams told different answers"] += 1
        else:
            self._around.tally.told += 1


class _Making:
    """The answer to a new session."""

    def __init__(self, user: User, around: Around) -> None:
        self._user = user
        self._around = around
        self._body = b""

    def piece(self, line: Line, body: bytes, now_s: float) -> None:
        self._body += body

    def over(self, line: Line, why: str, now_s: float) -> None:
        if why or line.response.status not in {200, 201}:
            self._around.tally.refused[why or refusal(line, self._body)] += 1
            self._around.later(self._around.between(*_LEFT_S), self._user.come)
            return
        self._user.begun(json.loads(self._body)["session_id"])


class _Following:
    """The session's stream, on one connection."""

    def __init__(self, user: User, around: Around) -> None:
        self._user = user
        self._around = around
        self._welcomed = False
        self._refusal = b""

    def piece(self, line: Line, body: bytes, now_s: float) -> None:
        tally = self._around.tally
        if line.response.status != 200:
            self._refusal = (self._refusal + body)[:REFUSAL_BYTES]
            return
        if not self._welcomed:
            self._welcomed = True
            self._user.welcome()
        try:
            away = self._user.tell(body, now_s)
        except WrongAnswer as error:
            tally.errors[f"the session's stream: {error}"] += 1
            self._leave()
            return
        if away:
            tally.sent_away += 1
            self._leave()

    def over(self, line: Line, why: str, now_s: float) -> None:
        tally, status = self._around.tally, line.response.status
        if status in {0, 200}:
            tally.cut_off += 1
        else:
            # 410 means that the store lost what was shown: the page would have to begin anew.
            kind = tally.errors if status == 410 else tally.refused
            kind[f"the session's stream: {refusal(line, self._refusal)}"] += 1
        self._leave()

    def _leave(self) -> None:
        self._user.left(self._around.between(*_LEFT_S))
