"""Does what flows want done, over HTTP: once synchronously, once asynchronously.

One ``Wire`` serves one flow: it holds the one stream that the flow has open.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final, TypeVar

import httpx2

from kotaemon_node.client.config import Config
from kotaemon_node.client.frames import Frame
from kotaemon_node.client.steps import (
    Broken,
    Close,
    Emit,
    Flow,
    Open,
    Read,
    Reply,
    Request,
    Send,
    Sleep,
    Step,
)

T = TypeVar("T")
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_CONNECTIONS: Final = httpx2.Limits(max_connections=1_000, max_keepalive_connections=100)


def options_of(config: Config) -> dict[str, Any]:
    """Return what an HTTP client of the library is made with."""
    return {
        "base_url": config.endpoint.rstrip("/"),
        "headers": dict(config.all_headers()),
        "timeout": config.timeout_s,
        "limits": _CONNECTIONS,
        "follow_redirects": False,
    }


def _arguments(request: Request) -> dict[str, Any]:
    arguments: dict[str, Any] = {"headers": dict(request.headers), "params": dict(request.query)}
    if request.file is not None:
        name, content = request.file
        arguments["data"] = {"path": name}
        arguments["files"] = {"file": (name.rpartition("/")[2], content)}
    elif request.json is not None:
        arguments["json"] = request.json
    return arguments


def _lower(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _broken(error: httpx2.RequestError) -> Broken:
    return Broken(str(error) or type(error).__name__, sent=not isinstance(error, _NOT_SENT))


def _patience(usual: httpx2.Timeout, wait_s: float | None) -> httpx2.Timeout:
    """Return the time-outs of a call: a connection is waited for no longer than usual."""
    if wait_s is None:
        return usual
    return httpx2.Timeout(
        connect=usual.connect, write=usual.write, pool=usual.pool, read=max(wait_s, usual.read or 0)
    )


class Wire:
    """Does steps one after the other, waiting for each."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._stream: httpx2.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def run(self, flow: Flow[T]) -> T:
        """Return what the flow returns; raises what it raises."""
        try:
            result: Any = None
            while True:
                result = self.do(flow.send(result))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            self.close()

    def frames(self, flow: Flow[None]) -> Iterator[Frame]:
        """Yield what the flow emits; raises what it raises."""
        try:
            result: Any = None
            while True:
                step = flow.send(result)
                if isinstance(step, Emit):
                    result = None
                    yield step.frame
                else:
                    result = self.do(step)
        except StopIteration:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Close the stream, if one is open."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def do(self, step: Step) -> Any:
        """Do a step and return what came of it."""
        match step:
            case Sleep(seconds=seconds):
                time.sleep(seconds)
            case Close():
                self.close()
            case Read():
                try:
                    return next(self._chunks, b"")
                except httpx2.RequestError as error:
                    return _broken(error)
            case Send(request=request):
                try:
                    answer = self._http.request(
                        request.method,
                        request.path,
                        timeout=_patience(self._http.timeout, request.wait_s),
                        **_arguments(request),
                    )
                except httpx2.RequestError as error:
                    return _broken(error)
                return Reply(answer.status_code, _lower(answer.headers), answer.content)
            case Open():
                return self._open(step)
            case _:
                raise AssertionError(step)
        return None

    def _open(self, step: Open) -> Reply | Broken:
        self.close()
        try:
            request = self._http.build_request(
                step.request.method,
                step.request.path,
                timeout=step.silence_s,
                **_arguments(step.request),
            )
            answer = self._http.send(request, stream=True)
            self._stream, self._chunks = answer, answer.iter_bytes()
            body = answer.read() if answer.status_code >= 400 else b""
        except httpx2.RequestError as error:
            return _broken(error)
        return Reply(answer.status_code, _lower(answer.headers), body)


class AsyncWire:
    """The same for an event loop."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._stream: httpx2.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def run(self, flow: Flow[T]) -> T:
        """See ``Wire.run``."""
        try:
            result: Any = None
            while True:
                result = await self.do(flow.send(result))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            await self.close()

    async def frames(self, flow: Flow[None]) -> AsyncIterator[Frame]:
        """See ``Wire.frames``."""
        try:
            result: Any = None
            while True:
                try:
                    step = flow.send(result)
                except StopIteration:
                    return
                if isinstance(step, Emit):
                    result = None
                    yield step.frame
                else:
                    result = await self.do(step)
        finally:
            await self.close()

    async def close(self) -> None:
        """See ``Wire.close``."""
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None

    async def do(self, step: Step) -> Any:
        """See ``Wire.do``."""
        match step:
            case Sleep(seconds=seconds):
                await asyncio.sleep(seconds)
            case Close():
                await self.close()
            case Read():
                try:
                    return await anext(self._chunks, b"") if self._chunks else b""
                except httpx2.RequestError as error:
                    return _broken(error)
            case Send(request=request):
                try:
                    answer = await self._http.request(
                        request.method,
                        request.path,
                        timeout=_patience(self._http.timeout, request.wait_s),
                        **_arguments(request),
                    )
                except httpx2.RequestError as error:
                    return _broken(error)
                return Reply(answer.status_code, _lower(answer.headers), answer.content)
            case Open():
                return await self._open(step)
            case _:
                raise AssertionError(step)
        return None

    async def _open(self, step: Open) -> Reply | Broken:
        await self.close()
        try:
            request = self._http.build_request(
                step.request.method,
                step.request.path,
                timeout=step.silence_s,
                **_arguments(step.request),
            )
            answer = await self._http.send(request, stream=True)
            self._stream, self._chunks = answer, answer.aiter_bytes()
            body = await answer.aread() if answer.status_code >= 400 else b""
        except httpx2.RequestError as error:
            return _broken(error)
        return Reply(answer.status_code, _lower(answer.headers), body)
