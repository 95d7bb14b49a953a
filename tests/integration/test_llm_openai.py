"""The language model adapter against a real HTTP server: answers, continuation, every fault."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.llm import openai
from kotaemon_node.adapters.llm.answer import AnswerStream
from kotaemon_node.adapters.llm.estimating import estimated_tokens
from kotaemon_node.adapters.llm.openai import OpenAiLanguageModel, make_language_model
from kotaemon_node.composition.outside import language_model_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Fenced, LanguageModelError
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.settings import Settings
from tests.fakes.llm_answer import tokens_of
from tests.fakes.llm_server import FakeLlmServer

KEY = "sk-very-secret"
MESSAGES = (
    ChatMessage("system", "Answer from the passages."),
    ChatMessage(
        "user",
        "=== 00ff [1] Shipping\nParcels arrive within three days, 三天送达.\n"
        "=== 00ff end\n\nQuestion: How long?",
    ),
)
ANSWER = "The document says: Parcels arrive within three days, 三天送达. [1]."


@pytest.fixture
def llm() -> Iterator[FakeLlmServer]:
    with FakeLlmServer() as server:
        yield server


def model_of(
    base_url: str, *, mode: openai.ContinueMode = "none", first_s: float = 5.0, later_s: float = 5.0
) -> LanguageModel:
    return OpenAiLanguageModel(
        base_url=base_url,
        api_key=KEY,
        model="fake",
        continue_mode=mode,
        first_text_timeout_s=first_s,
        progress_timeout_s=later_s,
    )


def pieces_of(model: LanguageModel, *, prefix: str = "", usage: Usage | None = None) -> list[str]:
    return list(model.stream(MESSAGES, prefix=prefix, usage=usage or Usage(), stop=Stop()))


def eventually(holds: Callable[[], bool], *, within_s: float = 30.0) -> bool:
    until_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


def test_a_key_of_a_file_is_rotated_without_a_restart(llm: FakeLlmServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key\n")
    model = language_model_of(Settings(llm_base_url=llm.base_url, llm_api_key_file=file))
    assert model is not None

    for key in ("first-key", "second-key"):
        file.write_text(f"{key}\n")
        list(model.stream(MESSAGES, prefix="", usage=Usage(), stop=Stop()))
    file.unlink()
    list(model.stream(MESSAGES, prefix="", usage=Usage(), stop=Stop()))

    sent = ["first-key", "second-key", "second-key"]
    assert list(llm.behaviour.authorizations) == [f"Bearer {key}" for key in sent]


def test_an_answer_arrives_in_pieces_with_its_token_count(llm: FakeLlmServer) -> None:
    # Given a language model made from settings
    model = make_language_model(f"{llm.base_url}/", KEY, "fake", "none")
    usage = Usage()
    # When it is asked
    pieces = list(model.stream(MESSAGES, prefix="", usage=usage, stop=Stop()))
    # Then the pieces make the answer, the tokens are counted, and the key went where it belongs
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 5
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens == len(pieces)
    assert (model.name, model.continues_prefix) == ("fake", False)
    assert list(llm.behaviour.authorizations) == [f"Bearer {KEY}"]
    assert llm.behaviour.requests[0]["model"] == "fake"


def test_pieces_are_given_before_the_answer_is_whole(llm: FakeLlmServer) -> None:
    # Given a server that falls silent after three words
    llm.break_with("stall", after_tokens=3)
    stream = model_of(llm.base_url).stream(MESSAGES, prefix="", usage=Usage(), stop=Stop())
    # When three pieces are asked for, then they are there
    assert [next(stream) for _ in range(3)] == ["The", " document", " says:"]
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["vllm", "prefill"])
@pytest.mark.parametrize("kept_chars", [1, 20, len(ANSWER) - 1])
def test_an_answer_is_continued_behind_its_prefix(
    llm: FakeLlmServer, mode: openai.ContinueMode, kept_chars: int
) -> None:
    # Given the beginning of an answer, cut even within a word
    prefix = ANSWER[:kept_chars]
    model = model_of(llm.base_url, mode=mode)
    assert model.continues_prefix
    # When the model goes on
    pieces = pieces_of(model, prefix=prefix)
    # Then it yields the rest only, and the server was asked in the way of its kind
    assert prefix + "".join(pieces) == ANSWER
    body = llm.behaviour.requests[-1]
    assert body["messages"][-1] == {"role": "assistant", "content": prefix}
    flags = (body.get("continue_final_message"), body.get("add_generation_prompt"))
    assert flags == ((True, False) if mode == "vllm" else (None, None))
    assert llm.stats["prefix_mismatches"] == 0


def test_without_a_prefix_nothing_is_continued(llm: FakeLlmServer) -> None:
    pieces_of(model_of(llm.base_url, mode="vllm"))
    assert "continue_final_message" not in llm.behaviour.requests[-1]
    assert llm.behaviour.requests[-1]["messages"][-1]["role"] == "user"


def test_a_prefix_is_refused_where_the_server_cannot_continue(llm: FakeLlmServer) -> None:
    with pytest.raises(ValueError, match="prefix"):
        pieces_of(model_of(llm.base_url), prefix="The")
    assert llm.stats["calls"] == 0


def test_a_server_that_does_not_count_tokens_is_asked_again_without(llm: FakeLlmServer) -> None:
    # Given a server that refuses stream_options
    llm.break_with("refuse_usage")
    model, usage = model_of(llm.base_url), Usage()
    # When it is asked twice
    assert "".join(pieces_of(model, usage=usage)) == ANSWER
    assert "".join(pieces_of(model, usage=usage)) == ANSWER
    # Then only the first time cost a second try, and the count is a guess that says so
    assert llm.stats["calls"] == 3
    asked = sum(estimated_tokens(message.content) for message in MESSAGES)
    assert usage == Usage(asked, estimated_tokens(ANSWER), estimated=True)
    assert 0.5 < usage.completion_tokens / len(tokens_of(ANSWER)) < 2


@pytest.mark.parametrize("again", ["", "The document"])
def test_a_beginning_that_is_told_again_in_a_whole_answer_is_shown_once(again: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": f"{again} says."}}]}).encode()
    received = iter([body, b""])
    answer = AnswerStream(lambda: next(received), prefix="The document", usage=Usage())
    assert list(answer.whole()) == [" says."]


def test_a_server_that_does_not_stream_is_understood(llm: FakeLlmServer) -> None:
    llm.break_with("whole")
    usage = Usage()
    assert pieces_of(model_of(llm.base_url), usage=usage) == [ANSWER]
    assert usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("fault", "shown", "told"),
    [
        ("500", "", "answered 500: fault 500"),
        ("429", "", "answered 429: fault 429"),
        ("html", "", "answered with text/html"),
        ("garbage", "The document", "not JSON"),
        ("error", "The document", "reports: out of memory"),
        ("cut", "The document", "broke in the middle"),
    ],
)
def test_a_fault_ends_the_answer_with_a_clear_error(
    llm: FakeLlmServer, fault: str, shown: str, told: str
) -> None:
    # Given a server that fails, at once or after two words
    llm.break_with(fault, after_tokens=2)
    pieces: list[str] = []
    # When it is asked
    with pytest.raises(LanguageModelError, match=told) as raised:
        pieces.extend(
            model_of(llm.base_url).stream(MESSAGES, prefix="", usage=Usage(), stop=Stop())
        )
    # Then what came before was given, nothing was asked twice, and the message is fit to show
    assert "".join(pieces) == shown
    assert llm.stats["calls"] == 1
    assert KEY not in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)


@pytest.mark.parametrize("fault", ["stall", "stall_comments"])
@pytest.mark.parametrize(("after_tokens", "limit"), [(0, "1 s"), (2, "1.5 s")])
def test_silence_is_an_error_even_when_the_line_is_kept_busy(
    llm: FakeLlmServer, fault: str, after_tokens: int, limit: str
) -> None:
    # Given a server that sends no text any more, with and without comments
    llm.break_with(fault, after_tokens=after_tokens)
    model = model_of(llm.base_url, first_s=1.0, later_s=1.5)
    # When it is asked, then the fitting time-out ends it, and the server is told
    with pytest.raises(LanguageModelError, match=f"no text for {limit}"):
        pieces_of(model)
    assert eventually(lambda: llm.stats["aborted"] == 1)


def test_later_pieces_may_take_longer_than_the_first(llm: FakeLlmServer) -> None:
    # Given a server that takes its time between the two words that an answer lacks
    llm.behaviour.token_ms = 1_500
    prefix = ANSWER[: -len(". [1].")]
    # When the first piece must come sooner than that
    model = model_of(llm.base_url, mode="prefill", first_s=1.0, later_s=10.0)
    # Then the answer is whole all the same
    assert pieces_of(model, prefix=prefix) == [".", " [1]."]


def test_a_slow_reader_is_not_the_servers_silence(llm: FakeLlmServer) -> None:
    # Given a reader that takes longer than the server may
    stream = model_of(llm.base_url, first_s=5.0, later_s=1.0).stream(
        MESSAGES, prefix="", usage=Usage(), stop=Stop()
    )
    pieces = [next(stream)]
    threading.Event().wait(1.2)
    # When it reads on, then it gets the rest
    pieces.extend(stream)
    assert "".join(pieces) == ANSWER


def test_closing_the_iterator_stops_the_server(llm: FakeLlmServer) -> None:
    # Given an answer under way, one word a 20 ms
    llm.behaviour.token_ms = 20
    stream = model_of(llm.base_url).stream(MESSAGES, prefix="", usage=Usage(), stop=Stop())
    next(stream)
    # When its reader goes away
    stream.close()  # type: ignore[attr-defined]
    # Then the server notices
    assert eventually(lambda: llm.stats["aborted"] == 1 and llm.stats["running"] == 0)
    assert llm.stats["completed"] == 0


@pytest.mark.parametrize(("fault", "after_tokens"), [("mute", 0), ("stall", 0), ("stall", 3)])
def test_a_stop_hangs_up_though_the_server_is_silent(
    llm: FakeLlmServer, fault: str, after_tokens: int
) -> None:
    # Given a server that has fallen silent, and a reader that waits for it
    llm.break_with(fault, after_tokens=after_tokens)
    stop, reason = Stop(), Fenced("another pod owns the turn")
    raised: list[Exception] = []

    def read() -> None:
        try:
            list(model_of(llm.base_url).stream(MESSAGES, prefix="", usage=Usage(), stop=stop))
        except Fenced as error:
            raised.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    assert eventually(lambda: llm.stats["tokens"] == after_tokens and llm.stats["running"] == 1)
    # When the turn is stopped
    stop.request(reason)
    # Then the reader gets the reason at once, and the server notices
    reader.join(5)
    assert raised == [reason]
    assert eventually(lambda: llm.stats["aborted"] == 1)


def test_a_turn_that_is_stopped_asks_nobody(llm: FakeLlmServer) -> None:
    stop = Stop()
    stop.request(Fenced("another pod owns the turn"))
    with pytest.raises(Fenced):
        list(model_of(llm.base_url).stream(MESSAGES, prefix="", usage=Usage(), stop=stop))


def test_many_answers_at_once_on_one_model(llm: FakeLlmServer) -> None:
    # Given one model that many turns share
    model = model_of(llm.base_url)
    answers: list[str] = []

    def ask() -> None:
        answers.append("".join(pieces_of(model)))

    # When forty ask at once
    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then each gets its answer
    assert answers == [ANSWER] * 40


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from kotaemon_node.adapters.llm.openai import make_language_model
from kotaemon_node.domain.errors import Fenced
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.language_model import ChatMessage, Usage

model = make_language_model(sys.argv[1], "", "fake", "none")

def ask():
    said = (ChatMessage("user", "How long?"),)
    return "".join(model.stream(said, prefix="", usage=Usage(), stop=Stop()))

tasks = [gevent.spawn(ask) for _ in range(30)]
gevent.joinall(tasks, raise_error=True)
assert len({task.value for task in tasks}) == 1, tasks
"""


STOPPED_UNDER_GEVENT = (
    UNDER_GEVENT.split("def ask", maxsplit=1)[0]
    + """
stop, said = Stop(), (ChatMessage("user", "How long?"),)

def ask():
    try:
        list(model.stream(said, prefix="", usage=Usage(), stop=stop))
    except Fenced:
        return "stopped"

asking = gevent.spawn(ask)
asking.join(0.5)
stop.request(Fenced("another pod owns the turn"))
asking.join(5)
assert asking.value == "stopped", asking
"""
)


def test_a_stop_reaches_a_greenlet_that_waits_for_a_silent_server(llm: FakeLlmServer) -> None:
    llm.break_with("stall", after_tokens=2)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", STOPPED_UNDER_GEVENT, llm.base_url]
    done = subprocess.run(command, cwd=root, timeout=60, check=False)
    assert done.returncode == 0
    assert eventually(lambda: llm.stats["aborted"] == 1)


def test_greenlets_wait_for_the_server_side_by_side(llm: FakeLlmServer) -> None:
    # Given a server whose answers take two thirds of a second, and a process under gevent
    llm.behaviour.first_ms = 400
    llm.behaviour.token_ms = 60
    most: list[int] = []
    # When thirty greenlets ask at once
    root = Path(__file__).parents[2]
    asking = subprocess.Popen([sys.executable, "-c", UNDER_GEVENT, llm.base_url], cwd=root)
    while asking.poll() is None:
        most.append(llm.stats["running"])
        time.sleep(0.005)
    # Then all were answered, and the server had most of them before it at one time
    assert asking.returncode == 0
    assert llm.stats["completed"] == 30
    assert max(most) > 15


def test_nobody_listens() -> None:
    # Given a port that nobody listens on
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        # When the model is asked, then the error says so and shows no address
        with pytest.raises(LanguageModelError, match="cannot be reached") as raised:
            pieces_of(model_of(f"http://127.0.0.1:{port}/v1"))
    assert str(port) not in str(raised.value)


@pytest.mark.parametrize("base_url", ["", "127.0.0.1:8000/v1", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_refused_at_the_start(base_url: str) -> None:
    with pytest.raises(ValueError, match="LLM_BASE_URL"):
        make_language_model(base_url, "", "fake", "none")


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="LLM_API_KEY") as raised:
        make_language_model("http://127.0.0.1/v1", "sk-one\r\nX-Evil: two", "fake", "none")
    assert "sk-one" not in str(raised.value)


def test_a_key_from_a_file_loses_its_line_break(llm: FakeLlmServer) -> None:
    model = make_language_model(llm.base_url, f"{KEY}\n", "fake", "none")
    assert "".join(model.stream(MESSAGES, prefix="", usage=Usage(), stop=Stop())) == ANSWER
    assert list(llm.behaviour.authorizations) == [f"Bearer {KEY}"]


# Exact bytes, which the fake server cannot send.


@pytest.fixture
def replay() -> Iterator[Callable[[bytes], str]]:
    """Gives a function that serves a raw HTTP response to every connection, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    raw: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                _read_request(connection)
                connection.sendall(raw[-1])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def serve_raw(response: bytes) -> str:
        raw.append(response)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield serve_raw
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"ontent-Length" in line
    )
    while len(body) < length:
        body += connection.recv(65536)


def response_of(body: bytes, *, kind: str = "text/event-stream", status: int = 200) -> bytes:
    """A response whose body ends with the connection, as HTTP/1.0 servers send it."""
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n\r\n".encode() + body


def events_of(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def delta(text: Any, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


Replay = Callable[[bytes], str]


@pytest.mark.parametrize(
    "ending",
    [b"data: [DONE]\n\n", b"data: [DONE]", b"", b"\r\n: bye\r\n"],
    ids=["done", "done without blank line", "closed behind the reason to finish", "comment"],
)
def test_endings_that_are_whole(replay: Replay, ending: bytes) -> None:
    body = events_of(delta("Hello"), delta(" there"), delta("", "stop")) + ending
    assert pieces_of(model_of(replay(response_of(body)))) == ["Hello", " there"]


@pytest.mark.parametrize(
    "ending", [b"", b'data: {"choices": [{"index": 0, "del', b'data: {"choices": []}']
)
def test_an_ending_without_reason_is_a_broken_answer(replay: Replay, ending: bytes) -> None:
    body = events_of(delta("Hello")) + ending
    with pytest.raises(LanguageModelError, match="ended in the middle"):
        pieces_of(model_of(replay(response_of(body))))


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        ({"error": {"message": "context too long", "code": 400}}, "reports: context too long"),
        ({"object": "error", "message": "no memory"}, "reports: no memory"),
        ({"error": "plain"}, "reports: plain"),
        ({"choices": {"0": {}}}, "choices"),
        ({"choices": ["text"]}, "choices"),
    ],
)
def test_errors_inside_the_stream(replay: Replay, chunk: dict[str, Any], told: str) -> None:
    with pytest.raises(LanguageModelError, match=told):
        pieces_of(model_of(replay(response_of(events_of(chunk)))))


def test_forms_of_a_delta(replay: Replay) -> None:
    # Given a role, a thought, nothing, parts, another choice, and a usage that is null
    body = events_of(
        {"choices": [{"index": 0, "delta": {"role": "assistant"}}], "usage": None},
        {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": "hm"}}]},
        {"choices": [{"index": 1, "delta": {"content": "other"}}]},
        delta([{"type": "text", "text": "Hello"}, {"type": "image"}]),
        {"choices": [{"delta": {"content": "!"}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": "x"}},
    )
    usage = Usage()
    # When it is read, then only the text of the first choice counts
    assert pieces_of(model_of(replay(response_of(body))), usage=usage) == ["Hello", "!"]
    assert usage == Usage(3, 0)


def test_an_endless_answer_is_stopped(replay: Replay) -> None:
    body = events_of(*(delta("x" * 10_000) for _ in range(limits.ANSWER_CHARS_MAX // 10_000 + 1)))
    model = model_of(replay(response_of(body)), mode="prefill")
    pieces: list[str] = []
    with pytest.raises(LanguageModelError, match="longer than"):
        pieces.extend(model.stream(MESSAGES, prefix="begun", usage=Usage(), stop=Stop()))
    assert len("".join(pieces)) <= limits.ANSWER_CHARS_MAX


def test_an_endless_event_is_stopped(replay: Replay) -> None:
    with pytest.raises(LanguageModelError, match=r"stream: an? (event|line)"):
        pieces_of(model_of(replay(response_of(b"data: " + b"x" * 2_000_000))))


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 503])
def test_a_refusal_never_shows_the_key(replay: Replay, status: int) -> None:
    # Given a server that quotes the key in its refusal, and would send us elsewhere
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    raw = response_of(body, kind="application/json", status=status)
    raw = raw.replace(b"\r\n\r\n", b"\r\nLocation: http://127.0.0.1:1/v1\r\n\r\n", 1)
    # When it is asked, then the error has the status and not the key
    with pytest.raises(LanguageModelError, match=str(status)) as raised:
        pieces_of(model_of(replay(raw)))
    assert KEY not in str(raised.value)


def recorded_exchanges() -> Sequence[dict[str, Any]]:
    root = os.environ.get("KOTAEMON_TEST_DATA")
    if not root:
        pytest.skip("KOTAEMON_TEST_DATA is not set")
    lines = (Path(root) / "openai_api/dev/exchanges.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["path"].endswith("/chat/completions")]


def expected_answer(row: dict[str, Any]) -> tuple[str, int]:
    """Return text and prompt tokens of a recorded exchange, by the simplest reading of it."""
    if not row["stream"]:
        fields = json.loads(row["response"])
        content = fields["choices"][0]["message"].get("content") or ""
        return content, fields["usage"]["prompt_tokens"]
    texts, tokens = [], 0
    for line in row["response"].splitlines():
        if line.startswith("data: {"):
            fields = json.loads(line.removeprefix("data: "))
            tokens = (fields.get("usage") or {}).get("prompt_tokens", tokens)
            texts += [c["delta"].get("content") or "" for c in fields["choices"] if not c["index"]]
    return "".join(texts), tokens


@pytest.mark.data
def test_recorded_exchanges_of_the_real_service(replay: Replay) -> None:
    # Given responses that the real service once sent
    rows = recorded_exchanges()
    assert sum(row["stream"] for row in rows) >= 3
    for row in rows:
        kind = row["response_headers"]["content-type"]
        raw = response_of(row["response"].encode(), kind=kind, status=row["status"])
        model, usage = model_of(replay(raw)), Usage()
        # When they are replayed, then refusals are errors and answers are read whole
        if row["status"] != 200:
            with pytest.raises(LanguageModelError, match=str(row["status"])):
                pieces_of(model)
            continue
        pieces = pieces_of(model, usage=usage)
        counted = 0 if usage.estimated else usage.prompt_tokens
        assert ("".join(pieces), counted) == expected_answer(row), row["id"]
