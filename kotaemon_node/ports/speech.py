"""Speech: sound to text and text to sound. A turn knows nothing of either.

Sound is PCM everywhere: 16-bit signed little-endian, one channel.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood; ``text`` is empty where nothing was."""

    text: str
    language: str
    """``en``, ``zh``, …; empty where the engine does not tell."""
    confidence: float | None = None
    """0 to 1, of the engine's own making and comparable with itself alone; None: it tells none."""


class Hearing(Protocol):
    """One utterance under way. Used by one task at a time."""

    def feed(self, pcm: bytes) -> str:
        """Take the next piece, at 16 kHz; return what is understood so far, maybe nothing yet.

        It may take a while where the engine is slower than the sound: nothing is piled up. What was
        understood may change with the next piece. Raises ``SpeechFailed``.
        """
        ...

    def finish(self) -> Transcript:
        """Return what was said, all of it; nothing is fed any more. Raises ``SpeechFailed``."""
        ...


class SpeechToText(Protocol):
    """Recognises speech. Thread safe."""

    @property
    def name(self) -> str:
        """What clients are told of it."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that it knows, the default first; ``*`` stands for any."""
        ...

    def listen(self, language: str) -> AbstractContextManager[Hearing]:
        """Begin an utterance in a language (empty: the engine's default); leaving gives it up.

        Raises ``Invalid`` for a language that it does not know, ``Overloaded`` where all its places
        are taken for longer than a caller waits, ``SpeechFailed``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sound:
    """What is spoken, piece by piece. Whoever takes no more calls ``finish``."""

    rate_hz: int
    pieces: Iterator[bytes]
    """PCM, each a whole number of samples. Iterating raises ``SpeechFailed``."""


def finish(pieces: Iterator[bytes]) -> None:
    """Take no more of a sound: engines that still make it may stop."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


@dataclass(frozen=True, slots=True)
class Voice:
    """How something is to be said."""

    language: str = ""
    """``en``, ``zh``, …; empty: as the text looks."""
    name: str = ""
    """A voice of the engine; empty: its default of the language."""
    speed: float = 1.0
    """1 is the engine's usual speed, 2 twice that."""


class TextToSpeech(Protocol):
    """Speaks. Thread safe."""

    @property
    def name(self) -> str:
        """What clients are told of it."""
        ...

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of voices, the default first; empty: whatever the server takes."""
        ...

    def prepare(self) -> None:
        """Get ready for what is said soon; may take seconds, may be left out. As ``speak``."""
        ...

    def speak(self, text: str, voice: Voice) -> Sound:
        """Say plain text, a sentence or some; the first piece is there when this returns.

        Raises ``Invalid`` for a voice that it has not, ``Overloaded``, ``SpeechFailed``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Speech:
    """What this pod hears and speaks with; None: it does not."""

    hears: SpeechToText | None = None
    speaks: TextToSpeech | None = None


NO_SPEECH: Final = Speech()
