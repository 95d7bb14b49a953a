"""A rerank server over real HTTP: what it is asked, and what is done with each of its answers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.reranker import RerankerPlace, RerankerSetupError, make_reranker
from kotaemon_node.adapters.reranker.server import RerankServer
from kotaemon_node.ports.reranker import RerankerFailed

Answer = Callable[[Any], tuple[int, bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str | None, Any]]]]:
    """Serve ``answer``; yield the address, and (path, authorization, body) of each request."""
    asked: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            status, content = answer(body)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(rows: object, status: int = 200) -> Answer:
    return lambda _: (status, json.dumps(rows).encode())


def by_length(body: Any) -> tuple[int, bytes]:
    rows = [{"index": at, "score": len(text) / 10} for at, text in enumerate(body["texts"])]
    best_first = sorted(rows, key=lambda row: -row["score"])
    return 200, json.dumps(best_first).encode()


def test_scores_come_back_in_the_order_of_the_passages() -> None:
    with serving(by_length) as (url, asked):
        reranker = RerankServer(f"{url}/", key=" secret\n")
        assert list(reranker.scores("问?", ["a", "ccc", "bb"])) == [0.1, 0.3, 0.2]
    body = {"query": "问?", "texts": ["a", "ccc", "bb"], "truncate": True}
    assert asked == [("/rerank", "Bearer secret", body)]
    assert reranker.name == "127.0.0.1"


def test_without_a_key_none_is_sent_and_without_passages_nobody_is_asked() -> None:
    with serving(by_length) as (url, asked):
        reranker = RerankServer(url)
        assert list(reranker.scores("q", [])) == []
        reranker.scores("q", ["a"])
    assert [(path, key) for path, key, _ in asked] == [("/rerank", None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said([{"index": 0, "score": 1.0}]), "other passages"),
        (said([{"index": at, "score": 1.0} for at in (0, 1, 2)]), "other passages"),
        (said([{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}]), "other passages"),
        (lambda _: (200, b'[{"index":0,"score":NaN},{"index":1,"score":1}]'), "other passages"),
        (said({"error": "too busy"}), "another form"),
        (said([1, 2]), "another form"),
        (lambda _: (200, b"<html>"), "another form"),
        (lambda _: (200, b"[" + b" " * 100_000), "too long"),
        (said([], 429), "answered 429"),
        (said([], 307), "answered 307"),
    ],
)
def test_what_nobody_can_use_gives_no_scores(answer: Answer, reason: str) -> None:
    with serving(answer) as (url, asked), pytest.raises(RerankerFailed, match=reason):
        RerankServer(url).scores("q", ["a", "b"])
    assert len(asked) == 1


def test_a_server_that_is_silent_or_away_is_given_up() -> None:
    hold = threading.Event()

    def silent(body: Any) -> tuple[int, bytes]:
        hold.wait(60)
        return by_length(body)

    with serving(silent) as (url, _):
        began_s = time.monotonic()
        with pytest.raises(RerankerFailed, match="cannot be reached"):
            RerankServer(url, timeout_s=0.2).scores("q", ["a"])
        assert time.monotonic() - began_s < 60
        hold.set()
    with pytest.raises(RerankerFailed, match="cannot be reached"):
        RerankServer(url).scores("q", ["a"])


@pytest.mark.parametrize(
    ("model", "key", "told"),
    [("http://", "", "RERANK_MODEL must"), ("http://a", "schlüssel", "RERANK_API_KEY holds")],
)
def test_what_cannot_be_asked_is_told_at_the_start(model: str, key: str, told: str) -> None:
    place = RerankerPlace(model, key=key, model_dir=Path("models"), threads=1)
    with pytest.raises(RerankerSetupError, match=told):
        make_reranker(place, compute=lambda work, *given: work(*given))


def test_no_name_is_no_reranker() -> None:
    place = RerankerPlace("", key="", model_dir=Path("models"), threads=1)
    assert make_reranker(place, compute=lambda work, *given: work(*given)) is None
