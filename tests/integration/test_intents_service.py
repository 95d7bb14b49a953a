"""The recogniser over HTTP keeps its port's promises against a real small server."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kotaemon_node.adapters.intents.service import HttpIntentService
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.domain.errors import Draining
from kotaemon_node.domain.intent_book import IntentBook, IntentRule
from kotaemon_node.engine.breaking import MemoryBreaker
from kotaemon_node.engine.intents import IntentContext, Intents
from kotaemon_node.engine.intents.asking import ServiceRecogniser
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.intents import IntentServiceFailed
from kotaemon_node.ports.tools import Caller

CONTEXT = IntentContext(
    Caller("t", "s1", slots={"order_id": "1003"}, context={"secret": "x"}),
    topic="order",
    previous=("greet",),
)


class Server:
    """Answers every POST with ``status`` and ``body``, a piece at a time."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.pieces, self.pause_s = 1, 0.0
        self.asked: list[tuple[dict[str, str], Any]] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                told.asked.append((dict(self.headers), json.loads(self.rfile.read(length))))
                self.send_response(told.status)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                size = max(1, len(told.body) // told.pieces)
                try:
                    for start in range(0, len(told.body), size):
                        self.wfile.write(told.body[start : start + size])
                        self.wfile.flush()
                        time.sleep(told.pause_s)
                except OSError:
                    return  # the client hung up

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/parse"

    def says(self, answer: Any) -> None:
        self.body = json.dumps(answer).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_it_is_told_the_text_and_its_conversation_and_no_secrets(server: Server) -> None:
    server.says({"intent": "query_order", "confidence": 0.93, "slots": {"order_id": "7"}})

    found = HttpIntentService(server.url, key="k1\n").ask(
        "那个订单呢", context=CONTEXT, stop=Stop()
    )

    assert (found.intent, found.confidence, found.slots) == ("query_order", 0.93, {"order_id": "7"})
    headers, asked = server.asked[0]
    assert headers["Authorization"] == "Bearer k1"
    assert asked == {
        "text": "那个订单呢",
        "language": "zh",
        "session_id": "s1",
        "topic": "order",
        "previous": ["greet"],
        "slots": {"order_id": "1003"},
        "intents": None,
    }


def test_the_form_of_rasa_is_understood(server: Server) -> None:
    server.says(
        {
            "intent": {"name": "cancel_order", "confidence": 0.7},
            "entities": [{"entity": "order_id", "value": "1003", "start": 3}],
            "text": "x",
        }
    )
    service = HttpIntentService(server.url)

    found = service.ask("cancel 1003", context=CONTEXT, stop=Stop())

    assert (found.intent, found.slots) == ("cancel_order", {"order_id": "1003"})
    for name in (None, "nlu_fallback"):
        server.says({"intent": {"name": name, "confidence": 0.9}})
        assert service.ask("hm", context=CONTEXT, stop=Stop()).intent is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b"not JSON"),
        (200, b"[]"),
        (200, b'{"intent": 7}'),
        (200, b'{"intent": "a", "confidence": "high"}'),
        (200, b'{"intent": "a", "confidence": NaN}'),
        (200, b'{"intent": "a", "slots": [1]}'),
        (200, b'{"intent": "a", "entities": [{"value": 1}]}'),
        (200, b"[" * 50_000),
        (200, b'{"intent": "' + b"a" * 70_000 + b'"}'),
    ],
)
def test_other_answers_are_failures(server: Server, status: int, body: bytes) -> None:
    server.status, server.body = status, body

    with pytest.raises(IntentServiceFailed):
        HttpIntentService(server.url).ask("x", context=CONTEXT, stop=Stop())


def test_slots_that_no_session_could_keep_are_left_out(server: Server) -> None:
    server.says(
        {"intent": "a", "slots": {"long": "x" * 5_000, "n" * 200: 1, "fine": [1], "no": None}}
    )

    found = HttpIntentService(server.url).ask("x", context=CONTEXT, stop=Stop())

    assert found.slots == {"fine": [1]}


def test_a_server_that_drips_is_waited_for_no_longer_than_the_limit(server: Server) -> None:
    server.says({"intent": "a", "confidence": 1.0, "slots": {"padding": "x" * 400}})
    server.pieces, server.pause_s = 400, 0.2  # 80 s in all
    began = time.monotonic()

    with pytest.raises(IntentServiceFailed):
        HttpIntentService(server.url, timeout_s=0.5).ask("x", context=CONTEXT, stop=Stop())

    assert time.monotonic() - began < 40


def test_a_stop_breaks_the_wait_off(server: Server) -> None:
    server.says({"intent": "a"})
    server.pieces, server.pause_s = 10, 6.0
    stop = Stop()
    threading.Timer(0.3, lambda: stop.request(Draining("leaving"))).start()
    began = time.monotonic()

    with pytest.raises(Draining):
        HttpIntentService(server.url, timeout_s=55).ask("x", context=CONTEXT, stop=stop)

    assert time.monotonic() - began < 50


def test_a_service_that_is_away_leaves_the_message_to_the_next_and_is_soon_not_asked() -> None:
    nobody = HttpIntentService("http://127.0.0.1:9", timeout_s=5)
    breaker = MemoryBreaker(clock=SystemClock())
    by = ServiceRecogniser(nobody, breaker, ids=RandomIds(), threshold=0.6)
    rules = IntentBook(intents=(IntentRule("greet", keywords=("hello",)),))
    intents = Intents(rules, others=(by,))

    for _ in range(5):
        assert intents.recognise("what now", context=CONTEXT, stop=Stop()).intent is None

    assert breaker.open_now()
    assert intents.recognise("hello", context=CONTEXT, stop=Stop()).intent == "greet"


@pytest.mark.parametrize(
    ("said", "intent", "ours"),
    [(0.6, "a", 0.5), (0.8, "a", 0.75), (1.0, "a", 1.0), (0.3, None, 0.25)],
)
def test_its_threshold_is_its_own(
    server: Server, said: float, intent: str | None, ours: float
) -> None:
    server.says({"intent": "a", "confidence": said})
    service = HttpIntentService(server.url)
    by = ServiceRecogniser(
        service, MemoryBreaker(clock=SystemClock()), ids=RandomIds(), threshold=0.6
    )

    found = Intents(others=(by,)).recognise("x", context=CONTEXT, stop=Stop())

    assert (found.intent, found.confidence) == (intent, pytest.approx(ours))


@pytest.mark.parametrize("url", ["", "ftp://a/b", "intent:5005"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match="INTENT_URL"):
        HttpIntentService(url)
