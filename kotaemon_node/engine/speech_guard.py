"""A breaker before servers of speech: what failed in a row is not waited for by each utterance."""

from collections.abc import Iterator
from contextlib import contextmanager

from kotaemon_node.domain.errors import SpeechFailed
from kotaemon_node.ports.breakers import Breaker
from kotaemon_node.ports.runtime import IdSource
from kotaemon_node.ports.speech import (
    Hearing,
    Sound,
    SpeechToText,
    TextToSpeech,
    Transcript,
    Voice,
)


class _Guard:
    def __init__(self, breaker: Breaker, ids: IdSource) -> None:
        self._breaker, self._ids = breaker, ids

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ask it within; ``SpeechFailed`` at once while it is open."""
        caller = self._ids.new_id()
        if not self._breaker.ask(caller).admitted:
            raise SpeechFailed("the server of speech failed in a row and is not asked for a while")
        try:
            yield
        except SpeechFailed:
            self._breaker.failed(caller)
            raise
        except BaseException:
            self._breaker.gave_up(caller)
            raise
        self._breaker.succeeded(caller)


class GuardedHearing:
    """``ports.speech.SpeechToText`` behind a breaker."""

    def __init__(self, engine: SpeechToText, breaker: Breaker, *, ids: IdSource) -> None:
        self._engine, self._guard = engine, _Guard(breaker, ids)
        self.name, self.languages = engine.name, engine.languages

    @contextmanager
    def listen(self, language: str) -> Iterator[Hearing]:
        """See the port."""
        with self._engine.listen(language) as hearing:
            yield _GuardedUtterance(hearing, self._guard)


class _GuardedUtterance:
    def __init__(self, hearing: Hearing, guard: _Guard) -> None:
        self._hearing, self._guard = hearing, guard
        self.feed = hearing.feed

    def finish(self) -> Transcript:
        """See ``ports.speech.Hearing``."""
        with self._guard.asked():
            return self._hearing.finish()


class GuardedSpeaking:
    """``ports.speech.TextToSpeech`` behind a breaker; what counts is that sound begins."""

    def __init__(self, engine: TextToSpeech, breaker: Breaker, *, ids: IdSource) -> None:
        self._engine, self._guard = engine, _Guard(breaker, ids)
        self.name, self.voices = engine.name, engine.voices

    def prepare(self) -> None:
        """See the port."""
        self._engine.prepare()

    def speak(self, text: str, voice: Voice) -> Sound:
        """See the port."""
        with self._guard.asked():
            return self._engine.speak(text, voice)
