"""Utterances out of a stream of sound: when each begins and ends, and what was said."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from kotaemon_node.api.voice.messages import StartSaid
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Invalid, NodeError, TooLarge
from kotaemon_node.domain.sound import Resampler
from kotaemon_node.domain.voice_activity import Change, VoiceActivity
from kotaemon_node.ports.speech import Hearing, SpeechToText, Transcript

_BYTES_PER_S: Final = 2 * limits.HEARING_RATE_HZ


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said, and the moment (monotonic, s) when its speaker fell silent."""

    transcript: Transcript
    ended_s: float


class Listener:
    """Takes the sound of one ``start``. One task uses it; leaving it gives up what is under way."""

    def __init__(
        self,
        start: StartSaid,
        engine: SpeechToText,
        *,
        compute: Callable[..., Any],
        begins: Callable[[], None],
        partial: Callable[[str], None],
    ) -> None:
        """``compute`` runs filters.

        ``begins`` is called when somebody begins, ``partial`` with what is understood.
        """
        self._start, self._engine = start, engine
        self._compute, self._begins, self._partial = compute, begins, partial
        self._resampler = Resampler(start.audio.rate_hz, limits.HEARING_RATE_HZ)
        self._activity = VoiceActivity() if start.vad else None
        self._before = b""
        self._under_way = ExitStack()
        self._hearing: Hearing | None = None
        self._heard_bytes = 0
        self._shown = ""
        self.done = False
        """Whether nothing more is listened for."""

    def feed(self, sound: bytes, came_s: float) -> Utterance | None:
        """Take a piece; return the utterance that it ends. ``TooLarge``, and what engines raise.

        ``came_s``: when it came (monotonic).
        """
        if self.done:
            return None  # what was under way when the utterance ended
        pcm, changes = self._compute(self._filtered, sound)
        if self._activity is None:
            self._heard(pcm)
            return None
        if self._hearing is None and "begins" not in changes:
            kept = int(limits.SPEECH_BEFORE_S * _BYTES_PER_S)
            self._before = (self._before + pcm)[-kept:]
            return None
        self._heard(pcm)
        if "ends" in changes and not self._activity.speaking:
            return self._finished(came_s - self._activity.silent_s)
        return None

    def _filtered(self, sound: bytes) -> tuple[bytes, list[Change]]:
        pcm = self._resampler.feed(sound)
        return pcm, self._activity.feed(pcm) if self._activity else []

    def end(self, ended_s: float) -> Utterance:
        """Return what was said until now; raises ``Invalid`` where nothing is listened for."""
        if self.done:
            raise Invalid("there is no utterance to end; begin one with start")
        self._heard(self._compute(self._resampler.finish))
        return self._finished(ended_s)

    def give_up(self) -> None:
        """Drop what is under way."""
        self.done = True
        self._hearing = None
        with suppress(NodeError):  # whoever is told of it was told before
            self._under_way.close()

    def _heard(self, pcm: bytes) -> None:
        if self._hearing is None:
            if not pcm and not self._before:
                return
            self._begins()
            self._hearing = self._under_way.enter_context(self._engine.listen(self._start.language))
            pcm, self._before = self._before + pcm, b""
        self._heard_bytes += len(pcm)
        if self._heard_bytes > limits.UTTERANCE_S_MAX * _BYTES_PER_S:
            self.give_up()
            raise TooLarge(f"an utterance has at most {limits.UTTERANCE_S_MAX:.0f} s")
        text = self._hearing.feed(pcm)
        if text != self._shown:
            self._shown = text
            self._partial(text)

    def _finished(self, ended_s: float) -> Utterance:
        hearing, self._hearing = self._hearing, None
        self._heard_bytes, self._shown, self._before = 0, "", b""
        self.done = not self._start.continuous
        with self._under_way.pop_all():
            said = hearing.finish() if hearing else Transcript("", self._start.language)
        return Utterance(said, ended_s)
