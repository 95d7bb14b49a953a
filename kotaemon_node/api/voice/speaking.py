"""An answer that is spoken sentence by sentence while its text still comes.

Law 1: sound never holds up text. Sentences wait here, in a bounded queue; frames go past them.
Law 2: what was begun to be said is named by its place in the answer, so that a client that comes
    back says how far it has heard, and hears the rest.
Law 3: when ``stop`` has returned, nothing of this answer is on its way any more.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import NodeError
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.speakable import SentenceFeed, SpokenSentence
from kotaemon_node.ports.speech import TextToSpeech, Voice, finish

_log = structlog.get_logger(__name__)

Say = Callable[[dict[str, Any] | bytes], None]


class SpokenTurn:
    """``run`` is a task of its own; ``take`` and ``stop`` come from others."""

    def __init__(
        self,
        turn_id: str,
        *,
        speaks: TextToSpeech,
        voice: Voice,
        heard: int,
        say: Say,
        sounded: Callable[[], None],
    ) -> None:
        """``heard``: code points that the client has. ``sounded`` is called at the first sound."""
        self.turn_id = turn_id
        self._speaks, self._voice, self._heard = speaks, voice, heard
        self._say, self._sounded = say, sounded
        self._feed = SentenceFeed()
        self._taken = 0
        """Code points of the answer that were taken."""
        self._said: set[tuple[int, str]] = set()
        self._queue: deque[SpokenSentence] = deque()
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._complete = self._left = self._stopped = self._finished = False
        self._count = 0
        self._played_until_s = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more will be said."""
        return self._stopped or self._finished

    def take(self, frame: Frame) -> None:
        """Take a frame of the turn."""
        if frame.type == "text":
            content, offset = str(frame.fields["content"]), int(frame.fields["offset"])
            if (
                offset <= self._taken
            ):  # else what is before it did not come: no place would be right
                self._text(content[self._taken - offset :])
        elif frame.type == "restart":
            self._begin_again()
        elif frame.type == "snapshot":
            self._text(str(frame.fields["content"])[self._taken :])
        elif frame.type == "reconnect":
            self.leave()
        elif frame.terminal:
            if frame.type == "done" and frame.fields.get("state", "done") == "done":
                self._put(self._feed.finish())
            with self._changed:
                self._complete = True
                self._changed.notify_all()

    def stop(self, reason: str) -> None:
        """Say nothing more and tell the client so, unless it has played all of it."""
        with self._changed:
            if self._stopped or (self._finished and time.monotonic() > self._played_until_s):
                return
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        with self._sending:  # a piece that is on its way comes first
            self._say({"type": "audio_stop", "turn_id": self.turn_id, "reason": reason})

    def leave(self) -> None:
        """Take no more: no frames come here any more. What is being said is said to its end.

        The client is told nothing of it: when it says ``resume``, the rest is spoken there.
        """
        with self._changed:
            self._left = self._complete = True
            self._queue.clear()
            self._changed.notify_all()

    def run(self) -> None:
        """Speak until all is said or it is stopped; what sending raises leaves this."""
        try:
            while (sentence := self._next()) is not None:
                self._speak(sentence)
        except NodeError as error:
            _log.warning("speech_given_up", code=error.code, reason=str(error))
            self.stop("failed")
            return
        with self._changed:
            if self._stopped:
                return
            self._finished = True
        if self._left:
            return
        self._say({"type": "spoken", "turn_id": self.turn_id, "sentences": self._count})

    # --- what is to be said ---------------------------------------------------------------------

    def _text(self, content: str) -> None:
        self._taken += len(content)
        self._put(self._feed.feed(content))

    def _begin_again(self) -> None:
        with self._changed:
            self._queue.clear()
        self._feed, self._taken = SentenceFeed(), 0

    def _put(self, sentences: list[SpokenSentence]) -> None:
        with self._changed:
            room = limits.SPOKEN_SENTENCES_MAX - self._count - len(self._queue)
            wanted = [sentence for sentence in sentences if sentence.end > self._heard]
            if not self._stopped and not self._left:
                self._queue.extend(wanted[: max(0, room)])
            self._changed.notify_all()

    def _next(self) -> SpokenSentence | None:
        """Return the next sentence once the client has played most of what it has."""
        with self._changed:
            while not (self._stopped or self._left):
                ahead_s = self._played_until_s - time.monotonic() - limits.SPOKEN_AHEAD_S
                if ahead_s > 0:
                    self._changed.wait(ahead_s)
                elif self._queue:
                    return self._queue.popleft()
                elif self._complete:
                    return None
                else:
                    self._changed.wait()
            return None

    # --- saying it ------------------------------------------------------------------------------

    def _speak(self, sentence: SpokenSentence) -> None:
        place = (sentence.start, sentence.text)
        if place in self._said:  # an answer that began again says the same once
            return
        self._said.add(place)
        sound = self._speaks.speak(sentence.text, self._voice)
        self._count += 1
        head: dict[str, Any] = {
            "type": "audio",
            "turn_id": self.turn_id,
            "n": self._count,
            "start": sentence.start,
            "end": sentence.end,
            "text": sentence.text,
            "format": "pcm_s16le",
            "rate_hz": sound.rate_hz,
        }
        size = 0
        try:
            for piece in sound.pieces:
                if size == 0 and not self._send(head):
                    return
                size += len(piece)
                if not self._send(piece):
                    return
                self._sounded()
        finally:
            finish(sound.pieces)
        duration_s = size / 2 / sound.rate_hz
        if size:
            self._send(
                {
                    "type": "audio_end",
                    "turn_id": self.turn_id,
                    "n": self._count,
                    "duration_s": round(duration_s, 3),
                }
            )
        self._played_until_s = max(self._played_until_s, time.monotonic()) + duration_s

    def _send(self, message: dict[str, Any] | bytes) -> bool:
        with self._sending:
            if self._stopped:
                return False
            self._say(message)
            return True


def ended_quietly(spoken: SpokenTurn, ended: type[Exception]) -> None:
    """Run ``spoken``; the end of the connection is the end of it, and told by others."""
    with suppress(ended):
        spoken.run()
