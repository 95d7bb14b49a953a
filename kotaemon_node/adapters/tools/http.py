"""The tools port over HTTP: tools of an operator's own servers.

Laws of this file:
1. One call, one request: no retry, no redirect, no connection that an earlier call left.
2. ``ToolFailed`` says "it did not happen"; where that is not certain it is not said.
3. A call ends within its time limit, however slowly the tool drips.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import requests
import urllib3
from requests.auth import AuthBase

from kotaemon_node.adapters.tools.described import HttpTool, read_tools
from kotaemon_node.adapters.tools.line import Line, LineAdapter
from kotaemon_node.domain.arguments import problem_of
from kotaemon_node.domain.limits import (
    JSON_DEPTH_MAX,
    TOOL_ANSWER_BYTES_MAX,
    TOOL_CONNECT_TIMEOUT_S,
)
from kotaemon_node.domain.nesting import deeper_than
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import (
    Caller,
    Found,
    Toolbox,
    ToolFailed,
    ToolOutcomeUnknown,
    ToolSpec,
    found_of,
)
from kotaemon_node.ports.traces import outgoing

_REASON_CHARS_MAX: Final = 300
_REFUSED_BEFORE: Final = frozenset({501, 505})
"""Failures of a server that say it has not even begun; of others nobody knows how far they got."""
_NOT_NOW: Final = frozenset({401, 403, 407, 423, 425, 429})
"""Refusals of whoever asks, and when, before anybody looked at what is asked. Like a 409, by which
servers also say that the first request under a key is under way, they say nothing of that one."""


def make_toolbox(path: Path | None, *, environment: Callable[[str], str | None]) -> Toolbox | None:
    """Return the tools of the file ``TOOLS_FILE``, None where there are none.

    Raises ``ValueError`` saying what is wrong in the file.
    """
    tools = read_tools(path, environment=environment) if path else ()
    return HttpToolbox(tools) if tools else None


class HttpToolbox:
    """``ports.tools.Toolbox``; blocking calls, for threads and for greenlets."""

    def __init__(self, tools: Sequence[HttpTool]) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        return [tool.spec for tool in self._tools.values()]

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Any:
        tool = self._tool(name)
        problem = problem_of(arguments, tool.spec.parameters)
        if problem:
            raise ToolFailed(f"{problem}; correct it and call again", reached=False, fault=False)
        line = Line(tool.timeout_s)
        with stop.breaking_off(line.hang_up):
            return _value(tool, _exchange(tool, arguments, key=key, line=line))

    def lookup(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Found:
        tool = self._tool(name)
        asked = replace(tool, url=tool.lookup_url, method="GET")
        line = Line(tool.timeout_s)
        with stop.breaking_off(line.hang_up):
            return found_of(name, _value(asked, _exchange(asked, arguments, key=key, line=line)))

    def _tool(self, name: str) -> HttpTool:
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools)
            raise ToolFailed(
                f"there is no tool {name}; the tools are: {known}", reached=False, fault=False
            )
        return tool


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Know of no redirect: requests reads the body of one whole, however long it is."""


_TIMEOUTS: Final = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


class _Answer(NamedTuple):
    status: int
    kind: str
    body: bytes


def _exchange(tool: HttpTool, arguments: Mapping[str, Any], *, key: str, line: Line) -> _Answer:
    """Send the request and read the answer whole."""
    name = tool.spec.name
    timer = threading.Timer(tool.timeout_s, line.run_out)
    timer.daemon = True
    timer.start()
    try:
        answer = _send(tool, arguments, key=key, line=line)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if not line.opened:
            raise ToolFailed(
                f"{name} cannot be reached; nothing was done, try again later", reached=False
            ) from error
        # The socket's own limit may end before the timer's thread had its turn.
        late = line.late or isinstance(error, _TIMEOUTS)
        raise ToolOutcomeUnknown(_lost_message(tool, late=late)) from error
    finally:
        timer.cancel()
    if line.late:  # a body that ends with its connection looks whole when we hung up
        raise ToolOutcomeUnknown(_lost_message(tool, late=True))
    return answer


def _send(tool: HttpTool, arguments: Mapping[str, Any], *, key: str, line: Line) -> _Answer:
    sent: dict[str, Any] = {"json": dict(arguments)}
    if tool.method == "GET":
        sent = {"params": {name: _parameter(value) for name, value in arguments.items()}}
    with _Session() as http:
        http.mount("http://", LineAdapter(line))
        http.mount("https://", LineAdapter(line))
        with http.request(
            tool.method,
            tool.url,
            **sent,
            auth=_Headers({**outgoing(), **tool.headers, "Idempotency-Key": key}),
            stream=True,
            allow_redirects=False,
            timeout=(min(TOOL_CONNECT_TIMEOUT_S, tool.timeout_s), tool.timeout_s),
        ) as response:
            body = response.raw.read(TOOL_ANSWER_BYTES_MAX + 1, decode_content=True)
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return _Answer(response.status_code, kind, body)


def _value(tool: HttpTool, answer: _Answer) -> Any:
    """Return the JSON value of an answer; text is a string, no body is None."""
    name, status = tool.spec.name, answer.status
    failed = status >= requests.codes.server_error and status not in _REFUSED_BEFORE
    if failed or status == requests.codes.request_timeout:
        raise ToolOutcomeUnknown(f"{name} answered {status}: {_reason(tool, answer)}")
    if not requests.codes.ok <= status < requests.codes.multiple_choices:
        raise ToolFailed(
            f"{name} answered {status}: {_reason(tool, answer)}",
            reached=True,
            fault=status in _NOT_NOW,
            settles=status not in _NOT_NOW and status != requests.codes.conflict,
        )
    # From here on it has acted, whatever its answer looks like.
    if len(answer.body) > TOOL_ANSWER_BYTES_MAX:
        raise ToolOutcomeUnknown(f"{name} answered with more than {TOOL_ANSWER_BYTES_MAX} bytes")
    if not answer.body.strip():
        return None
    if answer.kind.startswith("text/"):
        return answer.body.decode(errors="replace")
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise ToolOutcomeUnknown(f"{name} answered {status} with what is not JSON") from error
    if deeper_than(value, JSON_DEPTH_MAX):
        raise ToolOutcomeUnknown(f"{name} answered with more than {JSON_DEPTH_MAX} levels of JSON")
    return value


def _reason(tool: HttpTool, answer: _Answer) -> str:
    if answer.kind == "text/html":
        return "a page of HTML"
    text = " ".join(answer.body.decode(errors="replace").split())
    for secret in filter(None, tool.headers.values()):
        text = text.replace(secret, "***")  # servers like to quote what they refuse
    return text[:_REASON_CHARS_MAX] or "no reason given"


def _lost_message(tool: HttpTool, *, late: bool) -> str:
    if late:
        return f"{tool.spec.name} did not answer within {tool.timeout_s:g} s"
    return f"the connection to {tool.spec.name} broke before its answer was there"


def _parameter(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class _Headers(AuthBase):
    """Sends headers. As an ``auth`` object it also keeps a ``.netrc`` from taking their place."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        # Nothing to wait for at the end; and a compressed answer could unfold without bound.
        request.headers.update({"Connection": "close", "Accept-Encoding": "identity"})
        return request
