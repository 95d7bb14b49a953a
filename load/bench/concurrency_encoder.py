"""The encoder as a process of its own: a unix socket, a thread a connection. And its client.

A request and an answer are a length of four bytes and as many bytes: text there, float32 back.
"""

import argparse
import signal
import socket
import struct
import threading
from pathlib import Path
from types import FrameType

_LENGTH = struct.Struct("!I")


class EncoderConnection:
    """One connection to the encoder process; asked by one greenlet at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def encoded(self, text: str) -> bytes:
        """Return the text's vector as bytes of float32."""
        send(self._socket, text.encode())
        vector = receive(self._socket)
        if vector is None:
            raise ConnectionError("the encoder process hung up")
        return vector


def send(connection: socket.socket, content: bytes) -> None:
    """Send one message."""
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket) -> bytes | None:
    """Return the next message, or None at the end."""
    head = _exactly(connection, _LENGTH.size)
    return None if head is None else _exactly(connection, _LENGTH.unpack(head)[0])


def _exactly(connection: socket.socket, length: int) -> bytes | None:
    received = b""
    while len(received) < length:
        more = connection.recv(length - len(received))
        if not more:
            return None
        received += more
    return received


def serve(path: Path, *, models: Path) -> None:
    """Serve until terminated."""
    # Imported here: the client side runs in the measured server, which has no use for a model.
    from kotaemon_node.adapters.encoder.factory import make_encoder  # noqa: PLC0415

    encoder = make_encoder("all-MiniLM-L6-v2", "onnx", models, 1)

    def answer(connection: socket.socket) -> None:
        with connection:
            while (text := receive(connection)) is not None:
                (space,) = encoder.encode_queries([text.decode()]).values()
                send(connection, space.vectors.tobytes())

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    """Serve as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    serve(asked.socket, models=asked.models)


if __name__ == "__main__":
    main()
