"""The language model port over HTTP: any server that speaks OpenAI's chat completions.

Laws of this file:
1. One call, one request: nothing is repeated that a server may have begun to work on and to charge
   for. The one exception is a refusal of ``stream_options``, which comes before any work.
2. The key goes into one header and nowhere else: not into messages, not to a redirect's target.
3. A call owns its connection and closes it with the iterator: closing tells the server to stop.
4. What comes within a window behind a piece may be one piece: its reader stores it as one frame, so
   taking it word by word would be work that nobody sees. The first text never waits.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3

from kotaemon_node.adapters.llm.answer import STREAM_END, AnswerStream
from kotaemon_node.adapters.llm.asking import ContinueMode, request_body
from kotaemon_node.adapters.llm.body import ResponseBody
from kotaemon_node.adapters.llm.completion import REASON_CHARS_MAX, reason_of_body
from kotaemon_node.adapters.llm.estimating import estimated_prompt_tokens
from kotaemon_node.adapters.llm.interruptible import InterruptibleAdapter, stopped_by
from kotaemon_node.bearer import Bearer
from kotaemon_node.domain.errors import LanguageModelError, LanguageModelRefusal
from kotaemon_node.domain.limits import (
    FIRST_TEXT_TIMEOUT_S,
    LLM_CONNECT_TIMEOUT_S,
    PROGRESS_TIMEOUT_S,
    RUNNING_TURNS_PER_POD_MAX,
)
from kotaemon_node.ports.language_model import (
    NO_SAMPLING,
    ChatMessage,
    LanguageModel,
    ToolCall,
    Usage,
)
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import ToolSpec
from kotaemon_node.ports.traces import outgoing


@dataclass(frozen=True, slots=True)
class Windows:
    """Behind a piece of text, the time within which more of it may join the next one."""

    length_s: Callable[[float], float]
    """Returns how long it is, by the seconds since the first text of the answer."""
    sleep: Callable[[float], None]


_END: Final = STREAM_END.encode()
_REFUSAL_BYTES_MAX: Final = 16 * 1024
_UNFIT: Final = frozenset({400, 413, 422})
"""Statuses by which a server refuses a request for what it holds."""


def make_language_model(
    base_url: str,
    api_key: str,
    model: str,
    continue_mode: ContinueMode,
    *,
    sampling: Mapping[str, float] | None = None,
    key_now: Callable[[], str] | None = None,
    windows: Windows | None = None,
) -> LanguageModel:
    """Return the language model behind ``base_url`` (``http://host:port/v1``); does no I/O.

    ``key_now`` gives the key of each request in place of ``api_key``. ``sampling``
    (``temperature``, ``seed``) is sent with each request; None: the server's own. ``windows``: None
    gives each piece as it comes.

    ``ValueError`` when ``base_url`` is not an http or https address, or ``api_key`` holds what a
    header cannot carry.
    """
    return OpenAiLanguageModel(
        base_url=base_url,
        api_key=api_key,
        model=model,
        continue_mode=continue_mode,
        sampling=sampling,
        key_now=key_now,
        windows=windows,
    )


class OpenAiLanguageModel:
    """Streams chat completions; plain blocking calls, so it works in threads and in greenlets."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        model: str,
        continue_mode: ContinueMode,
        sampling: Mapping[str, float] | None = None,
        key_now: Callable[[], str] | None = None,
        windows: Windows | None = None,
        first_text_timeout_s: float = FIRST_TEXT_TIMEOUT_S,
        progress_timeout_s: float = PROGRESS_TIMEOUT_S,
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("LLM_BASE_URL must look like http://host:port/v1")
        api_key = api_key.strip()  # keys from files end with a line break
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("LLM_API_KEY holds a character that a header cannot carry")
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._key_now = key_now or (lambda: api_key)
        self._model = model
        self._windows = windows
        self._continue_mode = continue_mode
        self._sampling = dict(sampling or {})
        self._first_text_timeout_s = first_text_timeout_s
        self._progress_timeout_s = progress_timeout_s
        self._usage_accepted = True
        """Until the server refuses to count tokens in a stream."""
        self._http = requests.Session()
        adapter = InterruptibleAdapter(pool_maxsize=RUNNING_TURNS_PER_POD_MAX, max_retries=0)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    @property
    def name(self) -> str:
        return self._model

    @property
    def continues_prefix(self) -> bool:
        return self._continue_mode != "none"

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[ToolSpec] = (),
        sampling: Mapping[str, float] = NO_SAMPLING,
    ) -> Iterator[str | ToolCall]:
        if prefix and not self.continues_prefix:
            raise ValueError("this language model cannot go on behind a prefix")
        body = request_body(
            self._model, messages, prefix=prefix, mode=self._continue_mode, tools=tools
        )
        body.update({**self._sampling, **sampling})
        return self._stream(body, prefix=prefix, usage=usage, stop=stop, with_calls=bool(tools))

    def _stream(
        self,
        body: dict[str, Any],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        with_calls: bool,
    ) -> Iterator[str | ToolCall]:
        patience = _Patience(self._first_text_timeout_s, self._progress_timeout_s)
        try:
            with (
                self._post(body, stop) as response,
                stop.breaking_off((reading := ResponseBody(response)).hang_up),
            ):
                answer = AnswerStream(
                    lambda: _received(reading, patience, self._windows),
                    prefix=prefix,
                    usage=usage,
                    together=self._windows is not None,
                )
                try:
                    for piece in _pieces(answer, response):
                        # Calls that nobody offered cannot be done.
                        if with_calls or isinstance(piece, str):
                            yield piece
                        # Counted from here: the reader's own time is not the server's silence.
                        patience.renew()
                finally:
                    # What was broken off was begun, and is charged for as well.
                    answer.estimate(estimated_prompt_tokens(body))
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
            raise LanguageModelError(patience.message) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LanguageModelError(_broken_message(error)) from error

    def _post(self, body: dict[str, Any], stop: StopSignal) -> requests.Response:
        """Return the response, status 200 and its body unread."""
        counts_tokens = self._usage_accepted
        if counts_tokens:
            body = {**body, "stream_options": {"include_usage": True}}
        with stopped_by(stop):
            response = self._http.post(
                self._url,
                json=body,
                headers={
                    "Accept": "text/event-stream, application/json",
                    # A compressed stream waits for its compressor, and pieces arrive late.
                    "Accept-Encoding": "identity",
                    **outgoing(),
                },
                auth=Bearer(self._key_now()),
                stream=True,
                allow_redirects=False,
                timeout=(LLM_CONNECT_TIMEOUT_S, self._first_text_timeout_s),
            )
        if response.status_code == requests.codes.ok:
            return response
        with response:
            refusal = reason_of_body(response.raw.read(_REFUSAL_BYTES_MAX, decode_content=True))
        if counts_tokens and response.status_code in {400, 422} and "stream_options" in refusal:
            self._usage_accepted = False
            del body["stream_options"]
            return self._post(body, stop)
        kind = LanguageModelRefusal if response.status_code in _UNFIT else LanguageModelError
        raise kind(self._refusal_message(response.status_code, refusal))

    def _refusal_message(self, status: int, reason: str) -> str:
        if status in {401, 403}:
            # Servers like to quote the key that they refuse.
            return f"the language model refused our credentials ({status})"
        if key := self._key_now():
            reason = reason.replace(key, "***")
        return f"the language model answered {status}: {reason[:REASON_CHARS_MAX]}"


class _Patience:
    """How long the server may still be without a new piece of text."""

    def __init__(self, first_s: float, later_s: float) -> None:
        self._limit_s = first_s
        self._later_s = later_s
        self._deadline_s = time.monotonic() + first_s
        self.first_s: float | None = None
        """When the first piece was taken."""
        self.last_s = 0.0
        """When the last one was."""

    def renew(self) -> None:
        """Say that a piece came, and was taken."""
        self.last_s = time.monotonic()
        if self.first_s is None:
            self.first_s, self._limit_s = self.last_s, self._later_s
        self._deadline_s = self.last_s + self._later_s

    @property
    def message(self) -> str:
        """What is said when it is at its end."""
        return f"the language model sent no text for {self._limit_s:g} s"

    def remaining_s(self) -> float:
        """Return what is left, above 0. Raises ``LanguageModelError`` when nothing is."""
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise LanguageModelError(self.message)
        return remaining_s


def _pieces(answer: AnswerStream, response: requests.Response) -> Iterator[str | ToolCall]:
    kind = response.headers.get("Content-Type", "text/event-stream").partition(";")[0].strip()
    if kind == "text/event-stream":
        return answer.streamed()
    if kind == "application/json":
        return answer.whole()
    raise LanguageModelError(f"the language model answered with {kind[:80]}, not with a stream")


def _received(body: ResponseBody, patience: _Patience, windows: Windows | None) -> bytes:
    """Return some bytes of the body, those of a whole window where there is one; b"" at its end."""
    if windows is not None and patience.first_s is not None:
        until_s = patience.last_s + windows.length_s(patience.last_s - patience.first_s)
        if gathered := body.gather(until_s, last=_END, sleep=windows.sleep):
            return gathered
    # Comments and empty chunks keep a connection busy but are no answer, so the time runs on
    # through them: each read gets what is left of it.
    return body.receive(patience.remaining_s())


def _broken_message(error: Exception) -> str:
    """Say what happened without the address, which is nobody's business outside."""
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the language model cannot be reached, or hung up without an answer"
    return "the connection to the language model broke in the middle of the answer"
