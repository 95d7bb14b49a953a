"""Messages as they come in: what cannot be read is the caller's fault, and said to be.

gRPC's own reading tells a caller whose bytes are no message UNKNOWN, as if the service had failed.
So every service of a server gets bytes, and they are read here.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from kotaemon_node.client.errors import Refused
from kotaemon_node.rpc.errors import status_of, trailers_of

_TOLD: Final = "the request is no message of this method; see kotaemon.proto"
Context = Any
"""``grpc.aio.ServicerContext``, of which there are no types."""
Read = Callable[[bytes], Any]


class ReadMessages(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Ends calls whose messages cannot be read with INVALID_ARGUMENT, before they are served."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Return the method's handler, fed with bytes; see ``grpc.aio.ServerInterceptor``."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        made, serve = _kinds(handler)
        feed = _streamed if handler.request_streaming else _single
        return made(
            feed(serve, handler.request_deserializer),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )


def _kinds(handler: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what makes a handler of the same kind, and what serves it."""
    asked = "stream" if handler.request_streaming else "unary"
    answered = "stream" if handler.response_streaming else "unary"
    name = f"{asked}_{answered}"
    return getattr(grpc, f"{name}_rpc_method_handler"), getattr(handler, name)


def _single(serve: Callable[..., Any], read: Read) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(serve):

        async def generated(raw: bytes, context: Context) -> AsyncIterator[Any]:
            async for answer in serve(await _read(read, raw, context), context):
                yield answer

        return generated

    async def served(raw: bytes, context: Context) -> Any:
        return await serve(await _read(read, raw, context), context)

    return served


def _streamed(serve: Callable[..., Any], read: Read) -> Callable[..., Any]:
    async def messages(raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async for one in raw:
            yield await _read(read, one, context)

    if inspect.isasyncgenfunction(serve):

        async def generated(raw: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            async for answer in serve(messages(raw, context), context):
                yield answer

        return generated

    async def served(raw: AsyncIterator[bytes], context: Context) -> Any:
        return await serve(messages(raw, context), context)

    return served


async def _read(read: Read, raw: bytes, context: Context) -> Any:
    try:
        return read(raw)
    except DecodeError:
        error = Refused(_TOLD, code="malformed", status=400)
        await context.abort(status_of(error), error.message, trailers_of(error))
