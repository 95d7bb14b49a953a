"""Speech without a server: pocketsphinx hears English, espeak-ng speaks many languages."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.speech.errors import SpeechSetupError
from kotaemon_node.adapters.speech.processes import Process, Processes
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Invalid, SpeechFailed
from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.speech import Hearing, Sound, Transcript, Voice

_HOW: Final = "pip install 'kotaemon-cluster[voice]' brings it"
_AHEAD_BYTES_MAX: Final = 32_000  # a second of sound that was sent and not recognised yet
_PIECE_BYTES: Final = 3_200
# Names of languages as espeak-ng has them, by ours.
_VOICES: Final = {"en": "en-us", "zh": "cmn", "de": "de", "fr": "fr-fr", "es": "es"}
_WORDS_PER_MINUTE: Final = 155
_WORDS_PER_MINUTE_RANGE: Final = (80, 450)  # espeak-ng knows no slower and no faster
_SOUND_OF_OPENAI: Final = frozenset(
    (
        *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
        *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
    )
)


class OfflineHearing:
    """``ports.speech.SpeechToText`` by pocketsphinx."""

    name = "pocketsphinx"
    languages = ("en",)

    def __init__(self, *, phrases: Path | None) -> None:
        """``phrases``: sentences that are expected, one a line. Raises ``SpeechSetupError``."""
        _require("pocketsphinx")
        if phrases is not None:
            _check_phrases(phrases)
        named = [] if phrases is None else [str(phrases.absolute())]
        self._processes = Processes(
            lambda: Process.started("hear", *named), most=limits.HEARING_PROCESSES_MAX
        )

    def listen(self, language: str) -> AbstractContextManager[Hearing]:
        """See the port."""
        if language not in ("", "en"):
            raise Invalid(f"language: the offline engine hears en, not {language[:16]}")
        return self._listening()

    @contextmanager
    def _listening(self) -> Iterator[Hearing]:
        with self._processes.lent() as process:
            process.send({"begin": True})
            utterance = _Utterance(process)
            yield utterance
            if process.fit:
                utterance.settle()

    def close(self) -> None:
        """End its processes."""
        self._processes.close()


class _Utterance:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._ahead_bytes = 0
        self._partial = ""

    def feed(self, pcm: bytes) -> str:
        """See ``ports.speech.Hearing``."""
        for start in range(0, len(pcm), _PIECE_BYTES):
            piece = pcm[start : start + _PIECE_BYTES]
            self._process.send(piece)
            self._ahead_bytes += len(piece)
            while self._ahead_bytes > _AHEAD_BYTES_MAX:
                self._take()
        return self._partial

    def finish(self) -> Transcript:
        """See ``ports.speech.Hearing``."""
        self._process.send({"end": True})
        while "final" not in (answer := self._take()):
            pass
        text = str(answer["final"])[: limits.TRANSCRIPT_CHARS_MAX]
        told = answer.get("confidence")
        return Transcript(text, "en", float(told) if isinstance(told, int | float) else None)

    def settle(self) -> None:
        """Take what is still to come, so that the next utterance begins with a quiet line."""
        while self._ahead_bytes > 0:
            self._take()

    def _take(self) -> dict[str, Any]:
        answer = self._process.receive()
        if isinstance(answer, bytes):
            self._process.kill()
            raise SpeechFailed("the offline engine of speech says nonsense")
        self._ahead_bytes -= int(answer.get("taken", 0))
        self._partial = str(answer.get("partial") or self._partial)[: limits.TRANSCRIPT_CHARS_MAX]
        return answer


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    voice: str
    words_per_minute: int


class OfflineSpeaking:
    """``ports.speech.TextToSpeech`` by espeak-ng."""

    name = "espeak-ng"
    voices = tuple(_VOICES.values())

    def __init__(self) -> None:
        """Raises ``SpeechSetupError``."""
        _require("espeakng_loader")
        self._processes = Processes(
            lambda: Process.started("speak"), most=limits.SPEAKING_PROCESSES_MAX
        )

    def speak(self, text: str, voice: Voice) -> Sound:
        """See the port."""
        name = voice.name
        if not name or name in _SOUND_OF_OPENAI:  # what clients of OpenAI must name means "any"
            language = voice.language or language_of(text)
            name = _VOICES.get(language, language)
        slowest, fastest = _WORDS_PER_MINUTE_RANGE
        pace = max(slowest, min(fastest, round(_WORDS_PER_MINUTE * voice.speed)))
        rate_hz, pieces = self._made(_Said(text, name, pace))
        return Sound(rate_hz, iter(pieces))

    def prepare(self) -> None:
        """See the port."""
        with self._processes.lent():
            pass

    def close(self) -> None:
        """End its processes."""
        self._processes.close()

    def _made(self, said: _Said) -> tuple[int, list[bytes]]:
        """Return the rate and the whole sound: who reads slowly must not hold the engine."""
        rate_hz, size, pieces = 0, 0, list[bytes]()
        with self._processes.lent() as process:
            process.send(
                {"text": said.text, "voice": said.voice, "words_per_minute": said.words_per_minute}
            )
            while True:
                answer = process.receive()
                if isinstance(answer, dict):
                    if "rate_hz" not in answer:
                        break
                    rate_hz = int(answer["rate_hz"])
                    continue
                pieces.append(answer)
                size += len(answer)
                if size > limits.SPOKEN_BYTES_MAX:
                    raise SpeechFailed("this would take too long to say")
        if "unknown" in answer:
            raise Invalid(f"voice: espeak-ng has none that is called {said.voice[:40]}")
        if "spoken" not in answer or not rate_hz:
            raise SpeechFailed("the offline engine could not say this")
        return rate_hz, pieces


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise SpeechSetupError(f"the Python package {module} is missing; {_HOW}")


def _check_phrases(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SpeechSetupError(f"SPEECH_PHRASES_FILE cannot be read: {error.strerror}") from None
    if size > limits.SPEECH_PHRASES_BYTES_MAX:
        raise SpeechSetupError(
            f"SPEECH_PHRASES_FILE has more than {limits.SPEECH_PHRASES_BYTES_MAX} bytes"
        )
