"""A language model that is none: paced words that tell when they were sent; OpenAI's protocol.

    python -m load.bench.speed.model --port 9000 --token-ms 20 --tokens 500

Each word is ``t`` and the microseconds of the machine's monotonic clock, so that whoever sees it
later on the same machine knows how long it was on its way. A question that holds ``quietly`` is
answered with a word each ten seconds. ``POST /end`` ends all answers that run.
"""

import argparse
import asyncio
import json
import time
from contextlib import suppress

QUIETLY = "quietly"
_QUIET_S = 10.0
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_BODY_BYTES_MAX = 4 * 1024 * 1024


class Model:
    """Answers; all streams share one loop."""

    def __init__(self, *, token_s: float, tokens: int) -> None:
        self._token_s, self._tokens = token_s, tokens
        self._ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
                body = await reader.readexactly(min(length, _BODY_BYTES_MAX))
                path = head.split(b" ", 2)[1]
                if path == b"/end":
                    self._ended.set()
                    self._ended = asyncio.Event()
                    writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
                elif b'"stream": true' in body or b'"stream":true' in body:
                    await self._stream(writer, quiet=QUIETLY.encode() in _question(body))
                else:
                    writer.write(_whole())
                await writer.drain()
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, *, quiet: bool) -> None:
        ended = self._ended
        writer.write(_HEAD)
        pause_s = _QUIET_S if quiet else self._token_s
        due_s = time.monotonic()
        for _ in range(self._tokens):
            if ended.is_set():
                break
            _event(writer, _delta(f"t{time.monotonic_ns() // 1000} "))
            due_s += pause_s
            if quiet:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), due_s - time.monotonic())
            else:
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if writer.is_closing():
                raise ConnectionError("the reader left")
        _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


def _question(body: bytes) -> bytes:
    """Return what the user said last: passages and earlier turns are of no concern."""
    said = json.loads(body)["messages"][-1]["content"]
    return (said if isinstance(said, str) else json.dumps(said)).encode()


def _delta(content: str) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "model": "paced", "choices": [choice]}


def _event(writer: asyncio.StreamWriter, fields: dict[str, object]) -> None:
    line = b"data: " + json.dumps(fields).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def _whole() -> bytes:
    message = {"role": "assistant", "content": "Yes."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-ms", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=500)
    asked = parser.parse_args()
    model = Model(token_s=asked.token_ms / 1e3, tokens=asked.tokens)
    server = await asyncio.start_server(
        model.serve, "127.0.0.1", asked.port, backlog=4096, limit=_BODY_BYTES_MAX
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
