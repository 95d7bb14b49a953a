"""Engines of speech that compute nothing: what is heard and said is up to the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kotaemon_node.ports.speech import Hearing, Sound, Transcript, Voice

RATE_HZ = 16_000


class FakeSpeaking:
    """Says every sentence in a tenth of a second of silence, and notes it."""

    name = "fake"
    voices = ()

    def __init__(self) -> None:
        self.said: list[str] = []

    def prepare(self) -> None:
        """See the port."""

    def speak(self, text: str, voice: Voice) -> Sound:
        """See the port."""
        self.said.append(text)
        return Sound(RATE_HZ, iter([bytes(RATE_HZ // 5)]))


class FakeHearing:
    """Understands ``words`` in any sound, once ``may_finish`` is set."""

    name = "fake"
    languages = ("en",)

    def __init__(self, words: str = "where is my order") -> None:
        self.words = words
        self.heard = bytearray()
        self.finishing, self.may_finish = threading.Event(), threading.Event()
        self.may_finish.set()

    @contextmanager
    def listen(self, language: str) -> Iterator[Hearing]:
        """See the port."""
        yield self

    def feed(self, pcm: bytes) -> str:
        """See ``ports.speech.Hearing``."""
        self.heard += pcm
        return ""

    def finish(self) -> Transcript:
        """See ``ports.speech.Hearing``."""
        self.finishing.set()
        self.may_finish.wait(60)
        return Transcript(self.words, "en")
