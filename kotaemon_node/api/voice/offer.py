"""What a pod offers to those who speak with it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kotaemon_node.domain.errors import Overloaded, SpeechOff
from kotaemon_node.domain.speech_limits import VOICES_PER_POD_MAX
from kotaemon_node.ports.speech import NO_SPEECH, Speech, SpeechToText, TextToSpeech


class Room:
    """Counts conversations by voice. Thread safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._taken = 0

    def require(self) -> None:
        """Raise ``Overloaded`` where there is none left."""
        if self._taken >= self._limit:
            raise Overloaded(f"this pod has {self._limit} conversations by voice")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place within; ``Overloaded``."""
        with self._lock:
            self.require()
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1


def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


@dataclass(frozen=True, slots=True)
class VoiceOffer:
    """The engines, how many may talk at once, and where their sound is computed with."""

    speech: Speech = NO_SPEECH
    room: Room = field(default_factory=lambda: Room(VOICES_PER_POD_MAX))
    compute: Callable[..., Any] = _here
    """``ports.runtime.Tasks.compute``: filters must not hold up the heartbeats of the pod."""

    def hears(self) -> SpeechToText:
        """Return what hears; ``SpeechOff`` tells how to switch it on."""
        if self.speech.hears is None:
            raise SpeechOff(
                "this cluster hears nothing: set SPEECH_TO_TEXT=offline, or openai with"
                " SPEECH_BASE_URL (docs/how-to/voice.md)"
            )
        return self.speech.hears

    def speaks(self) -> TextToSpeech:
        """Return what speaks; ``SpeechOff`` tells how to switch it on."""
        if self.speech.speaks is None:
            raise SpeechOff(
                "this cluster does not speak: set TEXT_TO_SPEECH=offline, or openai with"
                " SPEECH_BASE_URL (docs/how-to/voice.md)"
            )
        return self.speech.speaks
