"""The clients that ask for encodings: a few, each waiting for its answer before it asks again.

With ``--rate`` they keep to that many a second together; without, they ask as fast as they can.
Prints one line of JSON.
"""

import argparse
import http.client
import json
import threading
import time

from concurrency_figures import spread

QUESTIONS = (
    "How long does shipping to Norway take?",
    "Can I return headphones that I have already opened?",
    "What does the warranty of the kettle cover, and for how long?",
    "Which data do you keep about me, and how can I have it deleted?",
    "My parcel says delivered but it is not here. What can I do about it now?",
    "Do you ship on Saturdays?",
    "I ordered two lamps on Monday, one arrived broken and the other is the wrong colour; do I "
    "have to send both back, who pays for that, and when do I get my money?",
)
VECTOR_BYTES = 384 * 4


class Client(threading.Thread):
    """One client with its own connection."""

    def __init__(self, port: int, *, number: int, gap_s: float, until_s: float) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._number = number
        self._gap_s = gap_s
        self._until_s = until_s
        self.took_ms: list[float] = []
        self.errors = 0

    def run(self) -> None:
        due_s = time.monotonic() + self._gap_s * self._number / 4
        asked = self._number
        while True:
            time.sleep(max(0.0, due_s - time.monotonic()))
            started_s = time.monotonic()
            if started_s >= self._until_s:
                return
            self._ask(QUESTIONS[asked % len(QUESTIONS)])
            asked += 1
            due_s = max(due_s + self._gap_s, started_s)

    def _ask(self, question: str) -> None:
        started_s = time.monotonic()
        try:
            self._connection.request("POST", "/encode", question.encode())
            vector = self._connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            vector = b""
        if len(vector) == VECTOR_BYTES:
            self.took_ms.append((time.monotonic() - started_s) * 1000)
        else:
            self.errors += 1


def main() -> None:
    """Ask for the time given, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="a second; 0: as fast as it goes")
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    started_s = time.monotonic()
    clients = [
        Client(
            asked.port,
            number=number,
            gap_s=asked.clients / asked.rate if asked.rate else 0.0,
            until_s=started_s + asked.seconds,
        )
        for number in range(asked.clients)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took_ms = [ms for client in clients for ms in client.took_ms]
    result = {
        "per_s": len(took_ms) / (time.monotonic() - started_s),
        "took_ms": spread(took_ms),
        "errors": sum(client.errors for client in clients),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
