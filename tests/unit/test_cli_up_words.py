"""What ``up`` says behind the table: documents that nobody gets answers from; what to type next."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kotaemon_node.cli.cluster import tell_of_documents
from kotaemon_node.cli.console import program
from kotaemon_node.local.cluster import Cluster

Coordinator = Callable[..., Cluster]


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    """Serve what a coordinator says of its documents, and return the cluster that it leads."""
    servers: list[ThreadingHTTPServer] = []

    def begun(**bases: dict[str, int]) -> Cluster:
        said = {"knowledge": {kb: {"documents": states} for kb, states in bases.items()}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return Cluster("id", "/data", server.server_port - 1, 8080, "127.0.0.1", 1, "")

    yield begun
    for server in servers:
        server.shutdown()
        server.server_close()


def test_documents_that_cannot_be_read_are_counted_with_the_command_that_says_why(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = coordinator(
        default={"failed": 2, "indexed": 5, "waiting": 0},
        manuals={"failed": 1, "indexed": 0, "waiting": 1},
    )

    tell_of_documents(cluster, Path("first/data"))
    tell_of_documents(cluster, Path("our data"))

    said = capsys.readouterr().out
    assert "2 of 7 documents of default cannot be read" in said
    assert "kotaemon knowledge documents --status failed --data first/data" in said
    assert "1 of 2 documents of manuals cannot be read" in said
    assert "kotaemon knowledge documents --status failed --kb manuals --data first/data" in said
    assert "kotaemon knowledge documents --status failed --data 'our data'" in said


def test_a_folder_without_documents_is_said_to_be_empty(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    none = {"failed": 0, "indexed": 0, "waiting": 0}

    tell_of_documents(coordinator(default=none), Path(".data"))

    assert "There are no documents yet" in capsys.readouterr().out


def test_nothing_is_said_where_all_is_well(
    coordinator: Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = {"failed": 0, "indexed": 3, "waiting": 0}

    tell_of_documents(coordinator(default=fine), Path(".data"))
    tell_of_documents(Cluster("id", "/data", 1, 8080, "127.0.0.1", 1, ""), Path(".data"))

    assert capsys.readouterr().out == ""


def test_the_next_command_is_one_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "bin" / "kotaemon"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    typed = os.path.relpath(installed)

    monkeypatch.setattr(sys, "argv", [typed, "up"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == typed
    monkeypatch.setenv("PATH", str(installed.parent))
    assert program() == "kotaemon"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/kotaemon_node/cli/main.py", "up"])
    assert program() == "kotaemon"
