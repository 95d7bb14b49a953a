"""A TCP relay that stands for a network: it can stall, be cut, be slow, and lead elsewhere."""

import contextlib
import random
import socket
import struct
import threading
import time

_CHUNK_BYTES = 65_536
_RESETTING = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset at once


class Relay:
    """Listens on ``port`` of the loopback address and passes bytes to ``target`` and back.

    Stalled, it takes connections and bytes and passes nothing on; cut, it resets every connection,
    old and new. ``delay_s``: each chunk, either way, waits for a random time within these bounds.
    """

    def __init__(
        self,
        target: int,
        *,
        delay_s: tuple[float, float] | None = None,
        seed: int = 0,
        source: str = "127.0.0.1",
    ) -> None:
        """``source``: the address of this machine from which it seems to come, there."""
        self.target = target
        """The port of the loopback address to which new connections lead."""
        self._source = (source, 0)
        self._delay_s = delay_s
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def stall(self) -> None:
        """Pass nothing on; connections stay open, as where packets are dropped on the way."""
        self._flowing.clear()

    def cut(self) -> None:
        """Reset all connections, and those that come, until ``resume``."""
        with self._lock:
            self._refusing = True
        self.reset()

    def resume(self) -> None:
        """Pass on again; what was stalled goes on where it stood."""
        with self._lock:
            self._refusing = False
        self._flowing.set()

    def switch(self, port: int) -> None:
        """Lead to another port, as an address that moves does: what is connected is reset."""
        self.target = port
        self.reset()
        self.resume()

    def reset(self) -> None:
        """Reset all connections of now; new ones are served."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)

    def slow(self, delay_s: tuple[float, float] | None) -> None:
        """Let each chunk wait for a random time within these bounds; None: for none."""
        self._delay_s = delay_s

    @property
    def connections(self) -> int:
        """How many connections lead through it now."""
        with self._lock:
            return len(self._pairs)

    def remove(self) -> None:
        """End it."""
        # Wakes the accepting thread, which a mere close would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(
                    ("127.0.0.1", self.target), timeout=5, source_address=self._source
                )
            except OSError:
                _reset(near)
                continue
            far.settimeout(None)
            pair = (near, far)
            with self._lock:
                self._pairs.add(pair)
                refused = self._refusing
            if refused:
                self._end(pair)
                continue
            for source, sink in (pair, pair[::-1]):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                args = (pair, source, sink)
                threading.Thread(target=self._pump, args=args, daemon=True).start()

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_CHUNK_BYTES):
                if self._delay_s is not None:
                    time.sleep(self._random.uniform(*self._delay_s))
                self._flowing.wait()
                sink.sendall(chunk)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
        for end in pair:
            _reset(end)


def _reset(end: socket.socket) -> None:
    """Close with a reset, and wake whoever reads from it."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESETTING)
        end.shutdown(socket.SHUT_RDWR)
    end.close()
