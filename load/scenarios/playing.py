"""What the users of the scenarios do. Each function is one conversation, told step by step.

A line that is cut is no failure where the user comes back and lacks nothing; it is told. What is
wrong is told as a failure and ends the conversation: what follows would not be one.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from load.scenarios.door import Door, Refused, Timed, Unreachable, new_id
from load.scenarios.talks import Step, Talk
from load.scenarios.watched import Event, Watched, WrongAnswer, frame_turn, marks

FAILURES: Final = (WrongAnswer, Refused, Unreachable)
_TOLD_WITHIN_S: Final = 15.0
"""When an answer was whole for who asked, the session's own stream tells it, too."""
_TRIES_MAX: Final = 20
_BACK_S: Final = 0.5
_CUT_BEHIND: Final = (1, 1, 2)
"""Pieces of text: many answers of documents have two, and the end."""


class Tell(Protocol):
    """Takes what was seen."""

    def __call__(
        self, what: str, took_s: float, *, chars: int = 0, error: Exception | None = None
    ) -> None:
        """One thing that was done, and how long it took; ``error``: why it was wrong."""


@dataclass(frozen=True, slots=True)
class Player:
    """A virtual user: where it asks, what it tells, how it waits between two messages."""

    door: Door
    tell: Tell
    pause: Callable[[], None]
    chance: random.Random


class _Over(Exception):
    """A conversation ended with a failure that was told."""


def talk_through(player: Player, scenario: str, talk: Talk, names: Mapping[str, str]) -> None:
    """Hold a conversation, check each answer, then read all of it back from the session."""
    with suppress(_Over):
        session_id = _new_session(player, scenario, _filled(talk.user, names))
        told: list[Watched] = []
        for number, step in enumerate(talk.steps):
            if number:
                player.pause()
            watched, over = _say(player, scenario, session_id, _named(step, names))
            told.append(watched)
            if over:
                player.tell(f"{scenario}: nothing left to do", 0.0)
                break
        _read_back(player, scenario, session_id, told)


def cut_and_come_back(player: Player, question: str, *, others: tuple[str, ...] = ()) -> None:
    """Cut the line in the middle of an answer, and go on behind the last frame that came.

    ``others``: addresses of pods; one of them is asked for the rest instead of the balancer.
    """
    what = "reconnect"
    with suppress(_Over):
        session_id, turn_id = _new_session(player, what), new_id()
        watched, asked = Watched(turn_id), Timed()
        cut = _Cut(player.chance.choice(_CUT_BEHIND))
        with _told(player, f"{what}: up to the cut"):
            player.door.ask(session_id, question, watched, turn_id=turn_id, timed=asked, until=cut)
        if watched.end is None:
            player.pause()
            url = player.chance.choice(others) if others else ""
            _the_rest(player, session_id, watched, asked, url)
        _read_back(player, what, session_id, [watched])


def _the_rest(player: Player, session_id: str, watched: Watched, asked: Timed, url: str) -> None:
    back = Timed()
    with _told(player, "reconnect: the rest"):
        player.door.come_back(session_id, watched, turn_id=watched.turn_id, timed=back, url=url)
    # Behind the balancer it says who served; a pod that is asked itself says nothing.
    elsewhere = bool(url) or back.served_by != asked.served_by
    where = "another pod" if elsewhere else "the same pod"
    player.tell(f"reconnect: went on at {where}", back.whole_s, chars=len(watched.text))


class Connected:
    """A user whose page is open: the session's stream is followed while questions are asked.

    That stream has to tell what the asker saw: every turn, whole, and nothing twice.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._changed = threading.Condition()
        self._coming: dict[str, Watched] = {}
        self._told: dict[str, str] = {}
        self._open = self._over = False
        self._session_id = ""

    def open(self) -> bool:
        """Make the session and follow it; returns whether it is followed."""
        with suppress(_Over):
            self._session_id = _new_session(self._player, "connected")
            with _told(self._player, "connected: the stream opens"), self._changed:
                threading.Thread(target=self._follow, daemon=True).start()
                if not self._changed.wait_for(lambda: self._open, _TOLD_WITHIN_S):
                    raise Unreachable("the session's stream did not open")
        return self._open

    def ask(self, question: str) -> None:
        """Ask, and see that both streams tell the same."""
        with suppress(_Over):
            watched, _ = _say(self._player, "connected", self._session_id, Step(question))
            with _told(self._player, "connected: told by the session's stream"):
                with self._changed:
                    turn_id = watched.turn_id
                    there = self._changed.wait_for(lambda: turn_id in self._told, _TOLD_WITHIN_S)
                    text = self._told.pop(turn_id, "")
                if not there:
                    raise WrongAnswer("the session's stream did not tell a turn")
                if text != watched.text:
                    raise WrongAnswer("the session's stream told another answer")

    def close(self) -> None:
        """Remove the session, by which its stream ends."""
        self._over = True
        if self._session_id:
            with suppress(_Over), _told(self._player, "connected: remove the session"):
                self._player.door.remove(self._session_id)

    def _follow(self) -> None:
        last_id = ""
        while not self._over:
            try:
                for event in self._player.door.follow(self._session_id, last_id, self._opened):
                    last_id = event.id or last_id
                    self._take(event)
            except FAILURES as error:
                if not self._over:
                    self._player.tell("connected: the session's stream", 0.0, error=error)
            if not self._over:
                self._player.tell("connected: came back to the session's stream", 0.0)
                self._player.pause()

    def _opened(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def _take(self, event: Event) -> None:
        turn_id = frame_turn(event)
        if event.frame.get("seq") is None:
            return
        watched = self._coming.setdefault(turn_id, Watched(turn_id))
        watched.take(event)
        if watched.end is not None:
            del self._coming[turn_id]
            with self._changed:
                self._told[turn_id] = watched.text
                self._changed.notify_all()


class _Cut:
    """Says when the line is cut: behind so many pieces of text."""

    def __init__(self, pieces: int) -> None:
        self._left = pieces
        self._seen = 0

    def __call__(self, watched: Watched) -> bool:
        if len(watched.text) > self._seen:
            self._seen, self._left = len(watched.text), self._left - 1
        return self._left <= 0


def _say(player: Player, what: str, session_id: str, step: Step) -> tuple[Watched, bool]:
    """Say one thing and check what is answered; returns also whether the talk is over by it."""
    turn_id = new_id()
    watched, timed = Watched(turn_id), Timed()
    began_s = time.perf_counter()
    try:
        _to_the_end(player, what, session_id, step.ask, watched=watched, timed=timed)
        over = _has(watched.text, step.unless)
        if not over:
            _check(player, session_id, step, watched)
    except FAILURES as error:
        player.tell(f"{what}: answer", time.perf_counter() - began_s, error=error)
        raise _Over from error
    player.tell(f"{what}: first text", timed.first_s)
    player.tell(f"{what}: answer", timed.whole_s, chars=len(watched.text))
    return watched, over


def _to_the_end(
    player: Player, what: str, session_id: str, message: str, *, watched: Watched, timed: Timed
) -> None:
    """Ask, and come back where the line is cut, as the page does: behind the last frame."""
    turn_id = watched.turn_id
    for tries_left in reversed(range(_TRIES_MAX)):
        try:
            if watched.last:
                player.door.come_back(session_id, watched, turn_id=turn_id, timed=timed)
            else:
                player.door.ask(session_id, message, watched, turn_id=turn_id, timed=timed)
        except Unreachable:
            if not tries_left:
                raise
            player.tell(f"{what}: cut off, came back", 0.0)
            time.sleep(_BACK_S)
        else:
            return


def _check(player: Player, session_id: str, step: Step, watched: Watched) -> None:
    if not watched.text.strip():
        raise WrongAnswer("an answer is empty")
    if step.says and not _has(watched.text, step.says):
        raise WrongAnswer(f"the answer to {step.ask!r} does not say {step.says[0]!r}")
    if step.cites:
        _check_source(player, step, watched)
    if step.waits:
        pending = player.door.session(session_id).get("pending") or {}
        if (pending.get("kind"), pending.get("turn_id")) != (step.waits, watched.turn_id):
            raise WrongAnswer(f"the session does not wait for a {step.waits}")


def _check_source(player: Player, step: Step, watched: Watched) -> None:
    numbers = marks(watched.text)
    if not numbers:
        raise WrongAnswer(f"the answer to {step.ask!r} cites nothing")
    doc = next(doc for doc in watched.docs if doc["n"] == numbers[0])
    opened = player.door.source(doc)
    begin, end = opened["span"]
    if not opened["text"][begin:end].strip():
        raise WrongAnswer("a citation opens at nothing")


def _read_back(player: Player, what: str, session_id: str, told: list[Watched]) -> None:
    with _told(player, f"{what}: read back"):
        turns = {turn["turn_id"]: turn for turn in player.door.session(session_id)["turns"]}
        if turns.keys() != {one.turn_id for one in told}:
            raise WrongAnswer("the session has other turns than were told")
        for one in told:
            turn = turns[one.turn_id]
            if (turn["state"], turn["answer"]) != ("done", one.text):
                raise WrongAnswer("the session keeps another answer than was told")


def _new_session(player: Player, what: str, user: str = "") -> str:
    with _told(player, f"{what}: new session"):
        return player.door.new_session(user)


@contextmanager
def _told(player: Player, what: str) -> Iterator[None]:
    """Tell how long the block took; where it failed, that, and end the conversation."""
    began_s = time.perf_counter()
    try:
        yield
    except FAILURES as error:
        player.tell(what, time.perf_counter() - began_s, error=error)
        raise _Over from error
    player.tell(what, time.perf_counter() - began_s)


def _has(text: str, wanted: Sequence[str]) -> bool:
    return any(one.casefold() in text.casefold() for one in wanted)


def _named(step: Step, names: Mapping[str, str]) -> Step:
    return replace(
        step,
        ask=_filled(step.ask, names),
        says=tuple(_filled(one, names) for one in step.says),
        unless=tuple(_filled(one, names) for one in step.unless),
    )


def _filled(text: str, names: Mapping[str, str]) -> str:
    """Put the values of ``{customer}`` and ``{order}`` into a text; other braces stay."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text
