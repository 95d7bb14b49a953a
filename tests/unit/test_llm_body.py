"""The body of a response: HTTP's chunks, cut anywhere, and what is held of a window."""

import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from kotaemon_node.adapters.llm.body import Chunks, Plain, ResponseBody
from kotaemon_node.adapters.llm.openai import OpenAiLanguageModel, Windows
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Fenced, LanguageModelError
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, Usage
from tests.certificates import Authority
from tests.fakes.llm_server import FakeLlmServer

CONTENT = [b"one", "zwölf 三".encode(), b"\r\n0\r\n\r\n", b"x" * 300]
ENDLESS_S = 3_600.0


def chunked(*, extension: bytes = b"", line_end: bytes = b"\r\n") -> bytes:
    chunks = [b"%x%s%s%s%s" % (len(c), extension, line_end, c, line_end) for c in CONTENT]
    return b"".join(chunks) + b"0\r\nX-Trailer: said\r\n\r\n"


@given(
    st.lists(st.integers(0, 400), max_size=40).map(sorted),
    st.sampled_from([b"", b";name=value", b' ; a="b"']),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_the_cut_of_the_reads_changes_nothing(
    cuts: list[int], extension: bytes, line_end: bytes
) -> None:
    # Given a chunked body with what may stand beside its sizes, and a next response behind it
    body = chunked(extension=extension, line_end=line_end) + b"HTTP/1.1 200 OK\r\n"
    edges = [0, *(cut for cut in cuts if cut < len(body)), len(body)]
    # When it is read in these pieces
    chunks = Chunks()
    read = [chunks.feed(body[start:end]) for start, end in itertools.pairwise(edges)]
    # Then its content is whole, its end is known, and nothing behind it belongs to it
    assert b"".join(read) == b"".join(CONTENT)
    assert chunks.ended
    chunks.finish()


@pytest.mark.parametrize("cut", range(0, len(chunked()) - 1, 7))
def test_a_body_that_ends_early_is_no_whole_one(cut: int) -> None:
    chunks = Chunks()
    chunks.feed(chunked()[:cut])
    with pytest.raises(ProtocolError, match="within the body"):
        chunks.finish()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"zz\r\n", "is none"),
        (b"-1\r\n", "is none"),
        (b"\r\n", "is none"),
        (b"3\r\nfour\r\n", "longer than it said"),
        (b"1" * 5_000, "too long"),
        (b"0\r\n" + b"x" * 5_000, "too long"),
    ],
)
def test_chunks_that_are_none(body: bytes, told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        Chunks().feed(body)


@pytest.mark.parametrize("size", [b"5", b"05", b"0" * 40 + b"5"])
def test_zeros_before_the_size_of_a_chunk_say_nothing(size: bytes) -> None:
    chunks = Chunks()
    assert chunks.feed(size + b"\r\nhello\r\n" + b"0" * len(size) + b"\r\n\r\n") == b"hello"
    assert chunks.ended


def test_a_body_of_known_length() -> None:
    plain = Plain(5)
    assert (plain.feed(b"abc"), plain.ended) == (b"abc", False)
    with pytest.raises(ProtocolError, match="within the body"):
        plain.finish()
    assert (plain.feed(b"defg"), plain.ended) == (b"de", True)


def test_a_body_as_long_as_its_connection() -> None:
    plain = Plain(None)
    assert (plain.feed(b"abc"), plain.ended) == (b"abc", False)
    plain.finish()
    assert plain.ended


@pytest.fixture
def llm() -> Iterator[FakeLlmServer]:
    with FakeLlmServer() as server:
        yield server


def model_of(llm: FakeLlmServer, *, length_s: float) -> OpenAiLanguageModel:
    return OpenAiLanguageModel(
        base_url=llm.base_url,
        api_key="",
        model="fake",
        continue_mode="none",
        windows=Windows(lambda _: length_s, SystemClock().sleep),
    )


def asked(model: OpenAiLanguageModel, stop: Stop) -> Iterator[str]:
    said = (ChatMessage("user", "=== 00ff [1] It\nIt takes three days.\n=== 00ff end\n\nHow?"),)
    for piece in model.stream(said, prefix="", usage=Usage(), stop=stop):
        assert isinstance(piece, str)
        yield piece


def test_what_comes_within_a_window_is_one_piece_and_the_end_does_not_wait_for_it(
    llm: FakeLlmServer,
) -> None:
    # Given what a model says word by word
    llm.behaviour.token_ms = 5
    words = list(asked(model_of(llm, length_s=0.0), Stop()))
    assert len(words) > 3
    # When its reader has a window that never closes
    first, *rest = asked(model_of(llm, length_s=ENDLESS_S), Stop())
    # Then the first text waits for nothing, and all else is one piece when the answer is whole
    assert "".join(words).startswith(first)
    assert "".join([first, *rest]) == "".join(words)
    assert len(rest) == 1


@pytest.mark.parametrize("fault", ["cut", "error"])
def test_what_came_before_the_server_failed_is_given(llm: FakeLlmServer, fault: str) -> None:
    # Given a server that breaks off, or says that it failed, behind three words
    llm.behaviour.token_ms = 5
    llm.break_with(fault, after_tokens=3)
    pieces: list[str] = []
    # When its reader has a window open by then, then it gets them all, and the error behind them
    with pytest.raises(LanguageModelError):
        pieces.extend(asked(model_of(llm, length_s=ENDLESS_S), Stop()))
    assert "".join(pieces) == "The document says:"


def test_an_end_that_is_said_ends_a_window_though_the_body_goes_on() -> None:
    # Given a server that says that the answer is over, and keeps the body open
    answered = threading.Event()
    events = [b'{"choices": [{"index": 0, "delta": {"content": "word "}}]}'] * 3 + [b"[DONE]"]

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for event in events:
                line = b"data: %b\n\n" % event
                connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
                time.sleep(0.005)
            answered.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        model = OpenAiLanguageModel(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1",
            api_key="",
            model="fake",
            continue_mode="none",
            windows=Windows(lambda _: ENDLESS_S, SystemClock().sleep),
        )
        # When its reader has a window that never closes, then the answer is whole at once
        assert "".join(asked(model, Stop())) == "word word word "
        answered.set()


def test_a_stop_ends_a_window(llm: FakeLlmServer) -> None:
    # Given a reader whose window is open, and a server that has fallen silent
    llm.break_with("stall", after_tokens=2)
    stop, reason = Stop(), Fenced("another pod owns the turn")
    raised: list[Exception] = []
    begun = threading.Event()

    def read() -> None:
        try:
            for _ in asked(model_of(llm, length_s=ENDLESS_S), stop):
                begun.set()
        except Fenced as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(30)
    # When the turn is stopped, then the reader gets the reason at once
    stop.request(reason)
    reader.join(30)
    assert raised == [reason]


def test_over_tls_each_look_takes_all_that_has_come(tmp_path: Path) -> None:
    """TLS gives out a record a read, and a server sends each word as one."""
    authority = Authority(tmp_path / "authority")
    pair = authority.pair()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    sent, over = threading.Event(), threading.Event()

    def answer() -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head + b"1\r\n0\r\n")
            for _ in range(40):
                connection.sendall(b"1\r\nw\r\n")
            connection.sendall(b"1\r\nZ\r\n")
            sent.set()
            over.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        response = requests.get(url, stream=True, verify=authority.file, timeout=60)
        body, slept = ResponseBody(response), list[float]()
        begun = body.receive(60.0)
        assert sent.wait(60)
        # When it waits for a window, then it need not wait once for each word
        end_s = time.monotonic() + 60
        rest = body.gather(end_s, last=b"Z", sleep=lambda s: slept.append(s) or time.sleep(s))
        over.set()
    assert begun + rest == b"0" + b"w" * 40 + b"Z"
    assert len(slept) < 20


def test_a_stop_is_noticed_behind_a_proxy_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, reason = Stop(), Fenced("another pod owns the turn")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        def stop_behind_the_request() -> None:
            connection, _ = proxy.accept()
            with connection:
                connection.recv(65_536)
                stop.request(reason)
                stop_noticed.wait(60)

        stop_noticed = threading.Event()
        threading.Thread(target=stop_behind_the_request, daemon=True).start()
        model = OpenAiLanguageModel(
            base_url="http://model.example/v1", api_key="", model="fake", continue_mode="none"
        )
        with pytest.raises(Fenced):
            list(asked(model, stop))
        stop_noticed.set()
