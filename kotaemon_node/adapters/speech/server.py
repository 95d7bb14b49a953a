"""Speech by a server with OpenAI's audio routes; each call is one request and is not repeated."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from kotaemon_node.adapters.speech.errors import SpeechSetupError
from kotaemon_node.bearer import Bearer
from kotaemon_node.domain import speech_limits as limits
from kotaemon_node.domain.errors import Invalid, SpeechFailed
from kotaemon_node.domain.sound import Pcm, wav_of
from kotaemon_node.ports.speech import Hearing, Sound, Transcript, Voice
from kotaemon_node.ports.traces import outgoing

_CHUNK_BYTES: Final = 8 * 1024
_SPOKEN_RATE_HZ: Final = 24_000  # what OpenAI's `pcm` is, and what servers in its form give
_TIMEOUTS_S: Final = (limits.SPEECH_SERVER_CONNECT_S, limits.SPEECH_SERVER_SILENT_S)
_REFUSED: Final = frozenset({400, 404, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class SpeechPlace:
    """Where a server is. ``url`` ends in ``/v1`` or the like."""

    url: str
    key: str
    model: str


class _Server:
    def __init__(self, place: SpeechPlace) -> None:
        address = urlsplit(place.url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise SpeechSetupError("SPEECH_BASE_URL must look like http://host:port/v1")
        key = place.key.strip()
        if not (key.isascii() and key.isprintable()):
            raise SpeechSetupError("SPEECH_API_KEY holds a character that a header cannot carry")
        self._url = place.url.rstrip("/")
        self._auth = Bearer(key)
        self._http = requests.Session()
        for scheme in ("http://", "https://"):
            self._http.mount(
                scheme,
                requests.adapters.HTTPAdapter(
                    pool_maxsize=limits.VOICES_PER_POD_MAX, max_retries=0
                ),
            )

    @contextmanager
    def asked(self, path: str, **options: Any) -> Iterator[requests.Response]:
        """Post, and lend the answer, which is 200. Raises ``SpeechFailed``, ``Invalid``."""
        try:
            with self._http.post(
                f"{self._url}{path}",
                headers=dict(outgoing()),
                auth=self._auth,
                stream=True,
                allow_redirects=False,  # the key and the sound go to nobody else
                timeout=_TIMEOUTS_S,
                **options,
            ) as answer:
                if answer.status_code in _REFUSED:
                    raise Invalid(f"the server of speech refused this ({answer.status_code})")
                if answer.status_code != requests.codes.ok:
                    raise SpeechFailed(f"the server of speech answered {answer.status_code}")
                yield answer
        except (requests.RequestException, OSError) as error:
            # Without the address, which is nobody's business outside.
            raise SpeechFailed("the server of speech does not answer") from error


class ServerHearing:
    """``ports.speech.SpeechToText`` by ``POST /audio/transcriptions``: nothing before its end."""

    languages = ("*",)

    def __init__(self, place: SpeechPlace) -> None:
        """Raises ``SpeechSetupError``."""
        self._server = _Server(place)
        self._model = self.name = place.model

    @contextmanager
    def listen(self, language: str) -> Iterator[Hearing]:
        """See the port."""
        yield _Utterance(self._server, self._model, language)


class _Utterance:
    def __init__(self, server: _Server, model: str, language: str) -> None:
        self._server, self._model, self._language = server, model, language
        self._pcm = bytearray()  # bounded by whoever feeds: an utterance, or a file

    def feed(self, pcm: bytes) -> str:
        """See ``ports.speech.Hearing``."""
        self._pcm += pcm
        return ""

    def finish(self) -> Transcript:
        """See ``ports.speech.Hearing``."""
        fields = {"model": self._model, "response_format": "json"}
        if self._language:
            fields["language"] = self._language
        wav = wav_of(Pcm(limits.HEARING_RATE_HZ, bytes(self._pcm)))
        files = {"file": ("speech.wav", wav, "audio/wav")}
        with self._server.asked("/audio/transcriptions", data=fields, files=files) as answer:
            body = b"".join(_bounded(answer, limits.SPEECH_SERVER_ANSWER_BYTES_MAX))
        try:
            found = json.loads(body)
            text, language = str(found["text"]), found.get("language")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SpeechFailed("the server of speech answers in another form") from error
        told = language if isinstance(language, str) else self._language
        return Transcript(text.strip()[: limits.TRANSCRIPT_CHARS_MAX], told)


class ServerSpeaking:
    """``ports.speech.TextToSpeech`` by ``POST /audio/speech``."""

    voices = ()

    def __init__(self, place: SpeechPlace, *, voice: str) -> None:
        """``voice`` is taken where none is named. Raises ``SpeechSetupError``."""
        self._server = _Server(place)
        self._model = self.name = place.model
        self._voice = voice

    def prepare(self) -> None:
        """See the port; there is nothing to be done."""

    def speak(self, text: str, voice: Voice) -> Sound:
        """See the port."""
        pieces = self._pieces(
            {
                "model": self._model,
                "input": text,
                "voice": voice.name or self._voice,
                "response_format": "pcm",
                "speed": voice.speed,
            }
        )
        first = next(pieces, b"")
        if not first:
            raise SpeechFailed("the server of speech said nothing")
        return Sound(_SPOKEN_RATE_HZ, _joined(first, pieces))

    def _pieces(self, body: dict[str, Any]) -> Iterator[bytes]:
        odd = b""
        with self._server.asked("/audio/speech", json=body) as answer:
            if answer.headers.get("Content-Type", "").startswith(("text/", "application/json")):
                raise SpeechFailed("the server of speech answers with text")
            for piece in _bounded(answer, limits.SPOKEN_BYTES_MAX):
                whole = odd + piece
                odd = whole[len(whole) // 2 * 2 :]
                if whole := whole[: len(whole) // 2 * 2]:
                    yield whole


def _joined(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _bounded(answer: requests.Response, bytes_max: int) -> Iterator[bytes]:
    deadline_s = time.monotonic() + limits.SPEECH_SERVER_S_MAX
    taken = 0
    for piece in answer.iter_content(_CHUNK_BYTES):
        taken += len(piece)
        if taken > bytes_max:
            raise SpeechFailed("the server of speech answers without an end")
        if time.monotonic() > deadline_s:
            raise SpeechFailed("the server of speech takes too long")
        yield piece
