"""Bytes as they are: sends anything over a socket and tells which answers came back."""

import re
import socket
import time
from dataclasses import dataclass, field

# An answer begins where its head stands whole; nothing that we send back holds a line break.
_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of one answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back for what was sent."""

    answers: tuple[Answer, ...]
    raw: bytes
    ended: bool
    """The other side closed, or reset, before ``patience_s`` was over."""
    took_s: float


def answers_in(raw: bytes) -> tuple[Answer, ...]:
    """Return the final answers in ``raw``: those with a status from 200 on."""
    found = []
    for match in _HEAD.finditer(raw):
        status = int(match[1])
        lines = match[2].decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines if line]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if status >= 200:
            found.append(Answer(status, headers))
    return tuple(found)


def exchange(
    port: int,
    sent: bytes,
    *,
    finish: bool = True,
    patience_s: float = 30.0,
    host: str = "127.0.0.1",
) -> Exchange:
    """Send ``sent`` on a connection of its own and read until the other side is done with it.

    ``finish``: nothing more will come, which the other side is told as TCP can tell it.
    """
    began_s = time.monotonic()
    raw, ended = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=patience_s) as client:
        try:
            client.sendall(sent)
            if finish:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            ended = True  # refused while we were still talking; what it said can be read
        try:
            while piece := client.recv(_PIECE_BYTES):
                raw += piece
            ended = True
        except ConnectionError:
            ended = True
        except TimeoutError:
            pass
    return Exchange(answers_in(raw), raw, ended, time.monotonic() - began_s)
