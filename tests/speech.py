"""Speech for tests: real sound of espeak-ng, and a client of ``/ws/voice`` that listens."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from kotaemon_node.adapters.speech.offline import OfflineHearing, OfflineSpeaking
from kotaemon_node.api.voice.offer import VoiceOffer
from kotaemon_node.domain.sound import Pcm, Resampler
from kotaemon_node.domain.speech_limits import HEARING_RATE_HZ
from kotaemon_node.ports.speech import Speech, Voice

PHRASES = Path(__file__).parents[1] / "sample" / "speech-phrases.txt"
ROBOT = "en-us+klatt4"
"""The voice of espeak-ng that pocketsphinx understands best."""
PIECE_BYTES = 3_200
SILENCE = bytes(2 * HEARING_RATE_HZ)


@contextmanager
def offline(*, phrases: Path | None = PHRASES) -> Iterator[VoiceOffer]:
    """Lend the offline pair; its processes end with the block."""
    hears, speaks = OfflineHearing(phrases=phrases), OfflineSpeaking()
    try:
        yield VoiceOffer(Speech(hears, speaks))
    finally:
        hears.close()
        speaks.close()


def spoken(text: str, *, voice: str = ROBOT, speed: float = 0.9) -> bytes:
    """Return a sentence as PCM at 16 kHz, with half a second of silence around it."""
    engine = OfflineSpeaking()
    try:
        sound = engine.speak(text, Voice(name=voice, speed=speed))
        pcm = at_rate(Pcm(sound.rate_hz, b"".join(sound.pieces)), HEARING_RATE_HZ)
    finally:
        engine.close()
    return SILENCE[:HEARING_RATE_HZ] + pcm + SILENCE[:HEARING_RATE_HZ]


def at_rate(pcm: Pcm, rate_hz: int) -> bytes:
    """Return its samples at another rate."""
    resampler = Resampler(pcm.rate_hz, rate_hz)
    return resampler.feed(pcm.samples) + resampler.finish()


def words_of(text: str) -> list[str]:
    """Return the words as a recogniser writes them."""
    return re.findall(r"[a-z']+", text.lower())


def word_errors(said: str, heard: str) -> int:
    """Return how many words are wrong, missing or too many (Levenshtein)."""
    wanted, found = words_of(said), words_of(heard)
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        above, row[0] = row[0], number
        for column, other in enumerate(found, 1):
            best = min(row[column] + 1, row[column - 1] + 1, above + (word != other))
            above, row[column] = row[column], best
    return row[-1]


@dataclass(slots=True)
class Heard:
    """What a client was told until it stopped listening."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    sound: list[bytes] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a type."""
        return [message for message in self.messages if message["type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only message of a type."""
        (found,) = self.of(kind)
        return found

    @property
    def text(self) -> str:
        """The answer's text, as frames bring it."""
        return "".join(frame["content"] for frame in self.of("text"))


class VoiceClient:
    """Talks by voice."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.connection.send(json.dumps({"type": kind, **fields}))

    def sound(self, pcm: bytes, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Send sound."""
        for start in range(0, len(pcm), piece_bytes):
            self.connection.send(pcm[start : start + piece_bytes])

    def hear(self, *until: str, timeout_s: float = 60.0) -> Heard:
        """Listen until a message of each type has come."""
        heard, missing = Heard(), set(until)
        while missing:
            message = self.connection.recv(timeout=timeout_s)
            if isinstance(message, bytes):
                heard.sound.append(message)
                continue
            heard.messages.append(json.loads(message))
            missing.discard(heard.messages[-1]["type"])
        return heard


@contextmanager
def talking_to(url: str, **options: Any) -> Iterator[VoiceClient]:
    """Connect to ``/ws/voice`` of a server at ``ws://host:port``."""
    with connect(f"{url}/ws/voice", open_timeout=60, **options) as connection:
        yield VoiceClient(connection)
