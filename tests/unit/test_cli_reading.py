"""``status``, ``search``, ``sessions``, ``knowledge`` and ``faq`` against the routes of a pod."""

import io
import json
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler

from kotaemon_node.api.app import create_app
from kotaemon_node.cli import orders
from kotaemon_node.cli import status as status_command
from kotaemon_node.cli.commands import PLACES
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import ServiceError
from tests.artifact_stores import serving
from tests.fakes.knowledge_base import DOCUMENT, GENERATION, SENTENCE
from tests.fakes.services import FakeCluster


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def url(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(WSGIRequestHandler, "log", lambda *_: None)
    monkeypatch.setattr(orders, "_LOOK_S", 0.01)
    monkeypatch.setenv("COLUMNS", "160")
    with capture_logs(), serving(create_app(cluster.services())) as url:
        yield url


@pytest.fixture
def coordinator(cluster: FakeCluster) -> Iterator[None]:
    """Do what is ordered, until the test ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            job = cluster.jobs.begin("default")
            if job is not None:
                cluster.jobs.finish(job, {"generation": GENERATION + 1})
            time.sleep(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


def run(*words: str, url: str) -> Result:
    return CliRunner().invoke(app, [*words, "--url", url])


def told(done: Result) -> Any:
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_status_shows_pods_and_knowledge(url: str) -> None:
    done = run("status", url=url)

    assert done.exit_code == 0, done.exception
    assert "worker-1" in done.stdout
    assert f"default {GENERATION}" in done.stdout
    assert "2 pods; they agree" in done.stdout
    found = told(run("status", "--json", url=url))
    assert [pod["name"] for pod in found["cluster"]["pods"]] == ["worker-0", "worker-1"]
    assert found["knowledge"][0]["kb"] == "default"


def test_watching_goes_on_until_it_is_interrupted(
    url: str, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(duration_s: float) -> None:
        looks.append(duration_s)
        if len(looks) == 2:
            raise KeyboardInterrupt
        cluster.presence.reports.pop()

    # Not in the module of all: whatever else runs in this process sleeps as it did.
    monkeypatch.setattr(
        status_command, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    )

    done = run("status", "-w", "--every", "0.5", "--json", url=url)

    assert done.exit_code == 0
    pods = [len(json.loads(line)["cluster"]["pods"]) for line in done.stdout.splitlines()]
    assert (pods, looks) == ([2, 1], [0.5, 0.5])


def test_search_shows_passages_with_their_score(url: str) -> None:
    done = run("search", "How long?", url=url)

    assert done.exit_code == 0, done.exception
    assert "[1]" in done.stdout
    assert DOCUMENT in done.stdout
    assert SENTENCE[:20] in done.stdout
    assert done.stdout.splitlines() == [line.rstrip() for line in done.stdout.splitlines()]
    assert told(run("search", "How long?", "--json", url=url))["passages"][0]["document"]


def test_sessions_are_listed_read_and_deleted(url: str) -> None:
    assert "There are no sessions" in run("sessions", "list", url=url).stderr
    assert run("chat", "保修期是多久？", "--session", "s1", url=url).exit_code == 0

    assert "s1" in run("sessions", "list", url=url).stdout
    shown = run("sessions", "show", "s1", url=url).stdout
    assert "保修期是多久？" in shown
    assert SENTENCE in shown
    assert told(run("sessions", "show", "s1", "--json", url=url))["version"] == 1

    assert run("sessions", "delete", "s1", url=url).exit_code == 0
    gone = run("sessions", "show", "s1", url=url)
    assert isinstance(gone.exception, ServiceError)
    assert "`kotaemon sessions list` shows" in str(gone.exception)


def listed(monkeypatch: pytest.MonkeyPatch, rows: Any, *words: str, terminal: bool) -> list[str]:
    """Return the lines of a list in a terminal of 80 columns, or in a pipe that says so too."""
    shown = io.StringIO()
    console = Console(
        file=shown, force_terminal=terminal, width=80, color_system=None, highlight=False
    )
    # What imports it for the first time now would keep it.
    for place in PLACES.values():
        import_module(f"kotaemon_node.cli.{place.partition(':')[0]}")
    monkeypatch.setattr("kotaemon_node.cli.console.out", console)
    monkeypatch.setattr("kotaemon_node.cli.service.get", lambda *_, **__: rows)
    done = run(*words, url="http://127.0.0.1:1")
    assert done.exit_code == 0, done.exception
    return shown.getvalue().splitlines()


def test_ids_of_a_list_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    title = "保修期是多久？" * 30
    minted = "minted-" + "0123456789abcdef" * 3
    session = {"session_id": minted, "active_at": 0.0, "version": 12, "title": title}
    sessions = {"sessions": [session, {**session, "session_id": "s"}], "next_offset": None}
    entry = {"id": minted, "question": title, "answer": f"a\n{title}", "state": "live"}
    entries = {"entries": [entry]}

    for rows, what in ((sessions, "sessions"), (entries, "faq")):
        piped = listed(monkeypatch, rows, what, "list", terminal=False)
        assert title in piped[1]
        shown = listed(monkeypatch, rows, what, "list", terminal=True)
        assert shown[1].split()[0] == piped[1].split()[0] == minted
        assert title not in shown[1]
        assert "…" in shown[1]
        assert len(shown) == len(piped)
        assert shown[0].split() == piped[0].split()
    short = {"sessions": [{**session, "session_id": "s"}], "next_offset": None}
    lines = listed(monkeypatch, short, "sessions", "list", terminal=True)
    assert all(70 < cell_len(line) <= 80 for line in lines)


def test_knowledge_is_listed(url: str) -> None:
    listed = run("knowledge", "documents", url=url)
    assert listed.exit_code == 0, listed.exception
    documents = listed.stdout
    assert "broken.md" in documents
    assert "this is not text" in documents
    assert "served" in run("knowledge", "generations", url=url).stdout


@pytest.mark.usefixtures("coordinator")
def test_an_order_is_waited_for(url: str) -> None:
    done = run("knowledge", "rollback", "6", url=url)

    assert done.exit_code == 0, done.exception
    assert f"default serves generation {GENERATION + 1}" in done.stderr
    assert told(run("knowledge", "publish", "--json", url=url))["state"] == "done"


def test_an_order_that_is_refused_says_why(url: str) -> None:
    done = run("knowledge", "rollback", "5", url=url)

    assert isinstance(done.exception, ServiceError)
    assert str(done.exception).startswith("The cluster answered 409: ")


def test_an_order_that_fails_says_why(url: str, cluster: FakeCluster) -> None:
    ordered = told(run("knowledge", "rollback", "6", "--no-wait", "--json", url=url))
    job = cluster.jobs.begin("default")
    assert job is not None
    cluster.jobs.fail(job, "the disk is full")

    with pytest.raises(ServiceError, match=r"It was not done: the disk is full\."):
        orders.finished(orders.Place(url), ordered, wait=True)


@pytest.mark.usefixtures("coordinator")
def test_faq_entries_are_added_and_listed(url: str) -> None:
    added = run("faq", "add", "When?", "Tomorrow.", "--id", "when", "--tag", "time", url=url)

    assert added.exit_code == 0, added.exception
    assert "entry when" in added.stderr
    assert run("faq", "list", url=url).exit_code == 0


def test_what_is_no_cluster_is_said(url: str) -> None:
    done = run("search", "x", url=f"{url}/nowhere")

    assert isinstance(done.exception, ServiceError)
    page = run("status", url=f"{url}/?")
    assert isinstance(page.exception, ServiceError)
    assert "is no kotaemon cluster" in str(page.exception)
