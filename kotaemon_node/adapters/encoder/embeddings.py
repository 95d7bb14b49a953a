"""Speaks to a server of OpenAI-compatible embeddings: requests, answers, repeats.

Blocking calls of ``requests``: they work in threads, and in greenlets where gevent has patched the
standard library. The key goes into one header and nowhere else, nor to a redirect's target.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

import numpy as np
import requests
import urllib3
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter

from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.bearer import Bearer
from kotaemon_node.domain import limits
from kotaemon_node.ports.encoder import EncoderUnavailable
from kotaemon_node.ports.traces import outgoing

Form = Literal["base64", "float"]
Count = Callable[[Literal["answered", "failed", "skipped"]], None]

_RECEIVE_BYTES: Final = 64 * 1024
_REASON_CHARS_MAX: Final = 200
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_NOT_LIKED: Final = frozenset({400, 413, 422})
"""What servers answer to a text that is too long, or to a form that they do not know."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request may take, how often it is tried, and how long is waited in between."""

    timeout_s: float
    attempts: int
    pause_s: float
    """Before the second attempt; then twice as long each time, or as the server asks."""
    pause_max_s: float
    after_timeout: bool
    """Whether to ask again a server that was silent: a question has no time for it."""


QUESTIONS: Final = Patience(limits.ENCODER_QUESTIONS_TIMEOUT_S, 2, 0.05, 0.1, after_timeout=False)
PASSAGES: Final = Patience(
    limits.ENCODER_PASSAGES_TIMEOUT_S,
    limits.ENCODER_PASSAGES_ATTEMPTS_MAX,
    0.5,
    limits.ENCODER_PAUSE_MAX_S,
    after_timeout=True,
)


class NotLiked(Exception):
    """The server takes this request as it is from nobody: too long, or malformed for it."""


class _Again(Exception):
    """The attempt failed and another may succeed, after ``after_s`` if the server said so."""

    def __init__(self, reason: str, *, after_s: float | None = None, silent: bool = False) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.silent = silent


class EmbeddingsClient:
    """Asks one server for one model's vectors. Thread safe."""

    def __init__(self, url: str, api_key: str, model: str, *, count: Count) -> None:
        """``url`` with ``/v1``. Does no I/O. Raises ``EncoderSetupError``."""
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise EncoderSetupError("ENCODER_URL must look like http://host:port/v1.")
        api_key = api_key.strip()  # keys from files end with a line break
        if not (api_key.isascii() and api_key.isprintable()):
            raise EncoderSetupError("ENCODER_API_KEY holds a character that a header cannot carry.")
        self._url = f"{url.rstrip('/')}/embeddings"
        self._auth = Bearer(api_key)
        self._key = api_key
        self._model = model
        self.count = count
        self.form: Form = "base64"
        """How vectors are asked for; whatever comes is read."""
        self._http = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=limits.ENCODER_CONNECTIONS_MAX, max_retries=0)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    def embed(self, texts: Sequence[str], patience: Patience) -> NDArray[np.float32]:
        """Return (len(texts), dimension) float32, as long as the server made them.

        Raises ``NotLiked``, and ``EncoderUnavailable`` when all attempts failed.
        """
        pause_s = patience.pause_s
        for attempt in range(1, patience.attempts + 1):
            try:
                vectors = self._ask(texts, patience.timeout_s)
            except _Again as failure:
                self.count("failed")
                last = attempt == patience.attempts
                if last or (failure.silent and not patience.after_timeout):
                    raise EncoderUnavailable(f"the encoder's server: {failure}") from failure
                wanted_s = pause_s if failure.after_s is None else failure.after_s
                _pause(min(wanted_s, patience.pause_max_s))
                pause_s *= 2
            except (NotLiked, EncoderUnavailable):
                self.count("failed")
                raise
            else:
                self.count("answered")
                return vectors
        raise AssertionError("the loop ends by returning or raising")

    def _ask(self, texts: Sequence[str], timeout_s: float) -> NDArray[np.float32]:
        deadline_s = time.monotonic() + timeout_s
        try:
            with self._http.post(
                self._url,
                json={"model": self._model, "input": list(texts), "encoding_format": self.form},
                headers={"Accept-Encoding": "identity", **outgoing()},
                auth=self._auth,
                stream=True,
                allow_redirects=False,
                timeout=(min(limits.ENCODER_CONNECT_TIMEOUT_S, timeout_s), timeout_s),
            ) as response:
                body = _body(response, deadline_s)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _Again(f"no answer within {timeout_s:g} s", silent=True) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Without the address, which is nobody's business outside.
            raise _Again("it cannot be reached, or hung up") from error
        if response.status_code != requests.codes.ok:
            raise self._refusal(response, body)
        return vectors_of(body, texts=len(texts))

    def _refusal(self, response: requests.Response, body: bytes) -> Exception:
        status = response.status_code
        reason = " ".join(body.decode(errors="replace").split())
        if self._key:  # servers like to quote the key that they refuse
            reason = reason.replace(self._key, "***")
        said = f"it answered {status}: {reason[:_REASON_CHARS_MAX]}"
        if status in _NOT_LIKED:
            return NotLiked(said)
        if status in _AGAIN:
            return _Again(said, after_s=_seconds(response.headers.get("Retry-After")))
        return EncoderUnavailable(f"the encoder's server: {said}")


def _pause(duration_s: float) -> None:
    # An event that nobody sets: it waits in threads and in greenlets alike.
    threading.Event().wait(duration_s)


def _body(response: requests.Response, deadline_s: float) -> bytes:
    body = bytearray()
    # ``read1`` returns what is there, so that a server that sends drop by drop meets the deadline.
    while received := response.raw.read1(_RECEIVE_BYTES, decode_content=True):
        body += received
        if len(body) > limits.ENCODER_ANSWER_BYTES_MAX:
            raise _Again("its answer is too large")
        if time.monotonic() > deadline_s:
            raise _Again("its answer took too long", silent=True)
    return bytes(body)


# ``RecursionError``: nested beyond what can be read; ``OverflowError``: a number that is none.
_NO_LIST: Final = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    RecursionError,
    OverflowError,
)


def vectors_of(body: bytes, *, texts: int) -> NDArray[np.float32]:
    """Return the vectors of an answer in the order of the texts; ``_Again`` where it is none."""
    try:
        rows = json.loads(body)["data"]
        by_text = {int(row.get("index", place)): row for place, row in enumerate(rows)}
        found = np.stack([_vector(by_text[text]["embedding"]) for text in range(texts)])
    except _NO_LIST as error:
        raise _Again("it sent something that is not a list of embeddings") from error
    if not 1 <= found.shape[1] <= limits.ENCODER_DIMENSION_MAX:
        raise _Again("it sent vectors of an unlikely size")
    if not (np.isfinite(found).all() and np.linalg.norm(found, axis=1).all()):
        raise _Again("it sent vectors without a direction")
    return np.ascontiguousarray(found, dtype=np.float32)


def _vector(kept: object) -> NDArray[np.float32]:
    if isinstance(kept, str):
        try:
            return np.frombuffer(base64.b64decode(kept, validate=True), dtype="<f4")
        except binascii.Error as error:
            raise ValueError("not base64") from error
    vector = np.asarray(kept, dtype=np.float32)
    if vector.ndim != 1:
        raise ValueError("not a vector")
    return vector


def _seconds(retry_after: str | None) -> float | None:
    """Read ``Retry-After``; a date in it is not worth its parsing."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
