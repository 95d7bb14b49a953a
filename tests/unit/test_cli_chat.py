"""``kotaemon chat``: what a pipe, a terminal and a program get of an answer, and what it costs."""

import io
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rich.console import Console
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler

from kotaemon_node.api.app import create_app
from kotaemon_node.cli.chat_showing import LiveText, PlainText, tool_line
from kotaemon_node.cli.chat_words import WORDS, words_for
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.domain.errors import Overloaded, StoreUnavailable
from tests.artifact_stores import serving
from tests.fakes import flaky_server
from tests.fakes.services import ANSWER, FakeCluster

DOC = {
    "n": 1,
    "title": "退货政策",
    "document": "shop/returns.md",
    "heading": ["Returns", "30 days"],
}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def url(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(WSGIRequestHandler, "log", lambda *_: None)
    with capture_logs(), serving(create_app(cluster.services())) as url:
        yield url


def chat(*words: str, url: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["chat", *words, "--url", url], input=typed)


def test_a_pipe_gets_the_text_and_its_sources(url: str) -> None:
    done = chat("How long?", url=url)

    assert done.exit_code == 0, done.exception
    first, *sources = done.stdout.strip().splitlines()
    assert first == ANSWER
    assert sources[0].startswith("[1] ")
    assert done.stdout.splitlines() == [line.rstrip() for line in done.stdout.splitlines()]
    assert "\x1b" not in done.stdout


def test_what_is_piped_in_is_asked_line_by_line(url: str, cluster: FakeCluster) -> None:
    done = chat("--session", "s1", url=url, typed="How long?\n\n保修期多久？\n")

    assert done.exit_code == 0, done.exception
    assert [turn.message for turn in cluster.turns.submitted] == ["How long?", "保修期多久？"]
    assert {turn.key.session.session_id for turn in cluster.turns.submitted} == {"s1"}


def test_a_program_gets_the_frames(url: str) -> None:
    done = chat("How long?", "--json", url=url)

    frames = [json.loads(line) for line in done.stdout.splitlines()]
    assert [frame["type"] for frame in frames] == ["status", "source", "text", "text", "done"]
    assert frames[-1]["answer"] == ANSWER


@pytest.mark.parametrize("shown", [(), ("Two ",), ("Three",)])
def test_a_turn_whose_frames_are_gone_is_shown_from_its_snapshot(shown: Sequence[str]) -> None:
    begun = flaky_server.streams(*(flaky_server.text(1, piece, 0) for piece in shown))
    snapshot = {"type": "snapshot", "content": "Two weeks.", "last": 4}
    rest = flaky_server.streams(snapshot, flaky_server.done(5, "Two weeks."))

    with pytest.MonkeyPatch.context() as patch, flaky_server.flaky(begun, rest) as server:
        patch.setattr("kotaemon_node.client.config.PAUSE_FIRST_S", 0.001)
        done = chat("How long?", "--session", "s", url=server.url)

    assert done.exit_code == 0, done.exception
    assert done.stdout.endswith("Two weeks.\n")


def test_a_session_of_nobody_is_said_with_what_to_do(url: str, cluster: FakeCluster) -> None:
    cluster.turns.refusal = Overloaded("the queue of the session is full")
    cluster.turns.refusal.retryable = False  # not tried for half a minute here

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kotaemon_node.client.config.PAUSE_FIRST_S", 0.001)
        patch.setattr("kotaemon_node.client.config.PAUSE_TOLD_MAX_S", 0.001)
        done = chat("How long?", url=url)

    assert isinstance(done.exception, ServiceError)
    assert str(done.exception) == (
        "The cluster answered 429: the queue of the session is full. Try again in a moment."
    )


def test_a_cluster_that_is_not_there_is_said_with_what_to_do() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kotaemon_node.client.config.PAUSE_FIRST_S", 0.001)
        done = chat("How long?", url="http://127.0.0.1:1")

    assert isinstance(done.exception, ServiceError)
    assert "No cluster answers at http://127.0.0.1:1; is it running?" in str(done.exception)
    assert "KOTAEMON_URL" in str(done.exception)


def test_an_address_that_is_none_is_said(url: str) -> None:
    done = chat("How long?", url="localhost:8080")

    assert isinstance(done.exception, ServiceError)
    assert "localhost:8080" in str(done.exception)


def test_a_store_that_is_away_for_a_moment_is_not_noticed(url: str, cluster: FakeCluster) -> None:
    cluster.turns.refusal = StoreUnavailable("the session store does not answer")
    back = threading.Timer(0.5, setattr, (cluster.turns, "refusal", None))
    back.start()

    done = chat("How long?", url=url)

    back.join()
    assert done.exit_code == 0, done.exception
    assert ANSWER in done.stdout


# --- the terminal -------------------------------------------------------------------------------


def drawn(*frames: dict[str, Any], width: int = 60) -> str:
    """Return all that a terminal of this width was sent, but for what moves the cursor."""
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, height=12, color_system=None,
        legacy_windows=False,
    )  # fmt: skip
    with LiveText(console, words_for("en")) as showing:
        for frame in frames:
            showing.frame(frame)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def kept(text: str) -> list[str]:
    """Return the lines that stay: those that were not drawn over."""
    shown: list[str] = []
    for line in text.split("\n"):
        ups = line.count("\x1b[1A")
        if ups:
            del shown[max(0, len(shown) - ups) :]
        left = line.split("\x1b[2K")[-1].replace("\r", "")
        for code in ("\x1b[1A", "\x1b[?25l", "\x1b[?25h"):
            left = left.replace(code, "")
        shown.append(left)
    return shown


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def test_each_block_is_kept_once_and_rendered() -> None:
    pieces = [
        "# Ret",
        "urns\n\nWithin **30",
        " days**. [1]\n\n- a\n- b\n\n```\nx = 1\n\ny",
        " = 2\n```\n",
    ]

    lines = [line.strip() for line in kept(drawn(*map(text, pieces))) if line.strip()]

    told = "\n".join(lines)
    assert told.count("Within 30 days. [1]") == 1
    assert "**" not in told
    assert "• a" in told
    assert told.count("y = 2") == 1
    assert "```" not in told


def test_a_long_answer_in_a_low_terminal_loses_nothing() -> None:
    pieces = [f"Paragraph {number} says something.\n\n" for number in range(40)]

    told = "\n".join(kept(drawn(*map(text, pieces))))

    for number in range(40):
        assert told.count(f"Paragraph {number} says") == 1


@pytest.mark.parametrize("width", [20, 40, 100])
def test_chinese_fits_narrow_terminals(width: int) -> None:
    told = drawn(
        text("您可以在收到商品后三十天内退货，运费由我们承担。[1]"),
        {"type": "source", "docs": [DOC]},
        width=width,
    )

    from rich.cells import cell_len

    lines = kept(told)
    assert max(cell_len(line) for line in lines) <= width
    assert "运费由我们承担" in "".join(line.strip() for line in lines)
    assert "[1]" in told


def test_an_answer_that_begins_anew_says_so() -> None:
    told = drawn(text("Half of "), {"type": "restart"}, text("The whole answer."))

    lines = [line.strip() for line in kept(told) if line.strip()]
    assert lines == [WORDS["en"]["restart"], "The whole answer."]


def test_a_tool_is_told_with_its_end() -> None:
    call = {"type": "tool_call", "name": "orders.find", "args": {"id": 7}, "state": "done"}
    assert tool_line(call).plain == "  ✓ orders.find(id=7)"
    assert tool_line({**call, "state": "failed"}).plain.startswith("  ✗")

    out, err = Console(file=io.StringIO()), Console(file=io.StringIO())
    with PlainText(out, err, words_for("en")) as plain:
        plain.frame({**call, "state": "started"})
        plain.frame(call)
    assert isinstance(err.file, io.StringIO)
    assert err.file.getvalue().strip() == "✓ orders.find(id=7)"


def test_markup_and_control_characters_of_an_answer_are_text() -> None:
    told = drawn(text("[bold]no[/bold] \x1b[31mred \x07 and [link=x]y[/link]\n\n"))

    assert "[bold]no[/bold] [31mred  and [link=x]y[/link]" in told
    out = Console(file=io.StringIO())
    with PlainText(out, out, words_for("en")) as plain:
        plain.frame(text("\x1b]0;title\x07 and \x9b31m"))
        plain.frame({"type": "source", "docs": [{**DOC, "title": "\x1b[2J"}]})
    assert isinstance(out.file, io.StringIO)
    assert not set("\x1b\x07\x9b") & set(out.file.getvalue())


def test_both_languages_have_all_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert words_for(None) is WORDS["zh"]
    assert words_for("en") is WORDS["en"]
