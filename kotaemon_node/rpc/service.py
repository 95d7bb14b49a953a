"""The service: each call is one turn of the pod beside, asked for over its own HTTP interface.

Rule 1: nothing is tried again here. What breaks ends the call as ``UNAVAILABLE``; the caller sends
    the same request again, and the balancer finds it another pod, where the turn goes on.
Rule 2: whoever leaves frees everything; what becomes of the turn is what the caller said.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import httpx2

from kotaemon_node.client.calls import asking, problem_of, turn_path
from kotaemon_node.client.config import Config
from kotaemon_node.client.driving import AsyncWire
from kotaemon_node.client.errors import KotaemonError, Unreachable, error_in_stream
from kotaemon_node.client.events import Events
from kotaemon_node.client.steps import Broken, Open, Read, Reply, Request
from kotaemon_node.client.values import session_made
from kotaemon_node.domain import limits
from kotaemon_node.domain.client_address import Proxies
from kotaemon_node.rpc.asked import Asked, asked_of, client_of
from kotaemon_node.rpc.errors import status_of, trailers_of
from kotaemon_node.rpc.frames import frame_message, response_message
from kotaemon_node.rpc.kotaemon_pb2 import GenerateRequest, GenerateResponse
from kotaemon_node.rpc.kotaemon_pb2_grpc import KotaemonServicer

_POD: Final = "the pod"
"""What callers are told of where it broke: its address is not theirs to know."""
_CANCEL_TRIES: Final = 5
_CANCEL_PAUSE_S: Final = 0.3
Context = Any
"""``grpc.aio.ServicerContext``, of which there are no types."""
Show = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Takes a frame of a session."""


class Service(KotaemonServicer):  # type: ignore[misc]
    """``kotaemon.v1.Kotaemon``."""

    def __init__(self, http: httpx2.AsyncClient, config: Config, between: Proxies) -> None:
        """``http`` reaches the pod; ``config.retries`` is 0. ``between``: see ``RpcServer``."""
        self._http = http
        self._between = between
        self._config = config
        self._leaving: set[asyncio.Task[None]] = set()

    async def Generate(self, request: GenerateRequest, context: Context) -> GenerateResponse:
        """Run a turn and return its answer."""
        docs: list[Any] = []
        answers: list[GenerateResponse] = []

        async def show(session_id: str, frame: Mapping[str, Any]) -> None:
            if frame["type"] == "source":
                docs[:] = frame["docs"]
            elif frame["type"] == "done":
                answers.append(response_message(frame, docs, session_id=session_id))

        await self._run(request, context, show)
        if not answers:
            await self._abort(context, _broken("the turn was seen to its end before"))
        return answers[0]

    async def GenerateStream(self, request: GenerateRequest, context: Context) -> None:
        """Run a turn and send its frames as they are stored."""

        async def show(session_id: str, frame: Mapping[str, Any]) -> None:
            try:
                async with asyncio.timeout(limits.CLIENT_STALL_S):
                    await context.write(frame_message(frame, session_id=session_id))
            except TimeoutError:
                raise _broken("you took nothing for a while; send the request again") from None

        await self._run(request, context, show)

    async def _run(self, request: GenerateRequest, context: Context, show: Show) -> None:
        """Show the frames of the turn with its session; a failure ends the call."""
        try:
            metadata = context.invocation_metadata()
            client = client_of(context.peer(), metadata, self._between)
            asked = asked_of(request, metadata, client=client)
            session_id = await self._session(asked)
            head = (("x-session-id", session_id), ("x-turn-id", asked.turn_id))
            await context.send_initial_metadata(head)
            try:
                async with aclosing(self._frames(asked, session_id)) as frames:
                    async for frame in frames:
                        await show(session_id, frame)
                        _raise_end(frame)
            except asyncio.CancelledError:
                # The caller left, or its deadline passed.
                if asked.on_leave == "cancel":
                    self._cancel_behind(asked, session_id)
                raise
        except KotaemonError as error:
            await self._abort(context, error)

    async def _abort(self, context: Context, error: KotaemonError) -> None:
        # To who takes nothing no end can be told; what it held here is free all the same.
        async with asyncio.timeout(limits.CLIENT_STALL_S):
            await context.abort(status_of(error), error.message, trailers_of(error))

    async def _session(self, asked: Asked) -> str:
        """Return the session's id; a session that is to be made is, once for each turn id."""
        if asked.session_id and not asked.session:
            return asked.session_id
        body = dict(asked.session)
        headers = {**asked.headers, "Idempotency-Key": f"grpc {asked.turn_id}"}
        if asked.session_id:
            body["session_id"] = asked.session_id
        request = Request("POST", "/v1/sessions", json=body, headers=headers)
        made = await AsyncWire(self._http).run(
            asking(self._config, request, session_made, whom=_POD)
        )
        return made.id

    async def _frames(
        self, asked: Asked, session_id: str
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        wire, events = AsyncWire(self._http), Events()
        try:
            headers = {**asked.headers, "Accept": "text/event-stream"}
            if asked.after:
                headers["Last-Event-ID"] = f"{asked.turn_id}:{asked.after}"
            path = f"/v1/sessions/{quote(session_id, safe='')}/turns"
            request = Request("POST", path, json=dict(asked.body), headers=headers)
            opened = await wire.do(Open(request, self._config.silence_s))
            if isinstance(opened, Broken) or opened.status >= 400:
                raise _told(opened)
            while chunk := await wire.do(Read()):
                if isinstance(chunk, Broken):
                    raise _told(chunk)
                for frame in events.feed(chunk):
                    yield frame
                    if frame.get("type") == "done":
                        return
        finally:
            await wire.close()
        # All of it was seen before: nothing is left to tell, as over HTTP.

    def _cancel_behind(self, asked: Asked, session_id: str) -> None:
        task = asyncio.create_task(self._cancel(asked, session_id))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _cancel(self, asked: Asked, session_id: str) -> None:
        path = f"{turn_path(session_id, asked.turn_id)}/cancel"
        request = Request("POST", path, json={}, headers=asked.headers)
        for _ in range(_CANCEL_TRIES):
            # It may not have been accepted yet: then it is not found.
            try:
                await AsyncWire(self._http).run(
                    asking(self._config, request, lambda _: None, whom=_POD)
                )
            except KotaemonError:
                await asyncio.sleep(_CANCEL_PAUSE_S)
            else:
                return


def _raise_end(frame: Mapping[str, Any]) -> None:
    """Raise what ends a call with a status other than OK."""
    if frame["type"] == "error":
        raise error_in_stream(frame, numbered=frame.get("seq") is not None)
    if frame["type"] == "reconnect":
        raise _broken("this pod is leaving; send the same request again")


def _told(reply: Reply | Broken) -> KotaemonError:
    return problem_of(reply, _POD)


def _broken(message: str) -> KotaemonError:
    return Unreachable(message, code="unavailable", retryable=True)


def server_options(*, message_bytes_max: int, streams_max: int) -> list[tuple[str, int]]:
    """Return the bounds of a server, as gRPC's core names them."""
    return [
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_concurrent_streams", streams_max),
        # Another incarnation that still listens must be seen, not shared with.
        ("grpc.so_reuseport", 0),
        # A client that is gone without a word is noticed.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
