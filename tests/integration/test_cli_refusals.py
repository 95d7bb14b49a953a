"""What cannot be done is said in one clear sentence, with exit status 2 and nothing started."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Return a cluster that was never started."""
    return Cluster(tmp_path / "data")


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a refusal prints."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("kotaemon: ")
    assert lines[0].endswith(".")
    return lines[0]


def test_a_busy_port_is_named(cluster: Cluster, busy_port: int) -> None:
    said = _refusal(cluster.command("up", "--port", str(busy_port), "--detach"))

    assert f"Port {busy_port} on 127.0.0.1 is busy" in said
    assert "--port" in said


def test_a_missing_program_is_named_with_its_package(cluster: Cluster, tmp_path: Path) -> None:
    cluster.environment = {**cluster.environment, "PATH": str(tmp_path)}

    said = _refusal(cluster.command("up", "--port", str(cluster.port), "--detach"))

    assert "redis-server is not installed" in said
    assert "apt-get install redis-server" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cluster = Cluster(tmp_path / "file" / "data")

    said = _refusal(cluster.command("up", "--port", str(cluster.port), "--detach"))

    assert f"{tmp_path}/file/data cannot be written" in said


def test_missing_weights_are_named_with_the_command_that_fetches_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.environment["MODEL_DIR"] = str(tmp_path / "no-models")

    said = _refusal(cluster.command("up", "--port", str(cluster.port), "--detach"))

    assert "weights" in said
    assert "kotaemon models fetch" in said


def test_a_missing_knowledge_folder_is_named(cluster: Cluster, tmp_path: Path) -> None:
    said = _refusal(
        cluster.command(
            "up", "--port", str(cluster.port), "--knowledge", str(tmp_path / "none"), "--detach"
        )
    )

    assert f"{tmp_path}/none does not exist" in said


def test_a_file_in_place_of_the_knowledge_folder_is_named(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n")

    said = _refusal(
        cluster.command(
            "up", "--port", str(cluster.port), "--knowledge", str(tmp_path / "notes.md"), "--detach"
        )
    )

    assert f"{tmp_path}/notes.md is a file; name the folder" in said


def test_a_cluster_does_not_read_its_own_files(cluster: Cluster, tmp_path: Path) -> None:
    said = _refusal(cluster.command("up", "--knowledge", str(tmp_path), "--detach"))

    assert f"The data folder {tmp_path}/data lies in the knowledge folder {tmp_path}" in said
    assert "--data" in said
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine_is_named(cluster: Cluster) -> None:
    said = _refusal(cluster.command("up", "--host", "192.0.2.1", "--detach"))

    assert "Nothing can listen on 192.0.2.1, port 8080" in said
    assert "--host" in said


def test_a_wrong_setting_is_named(cluster: Cluster) -> None:
    cluster.environment["SESSION_TTL_S"] = "for ever"

    said = _refusal(cluster.command("up", "--port", str(cluster.port), "--detach"))

    assert "SESSION_TTL_S" in said


def test_a_redis_of_somebody_else_that_is_away_is_named(cluster: Cluster) -> None:
    cluster.environment["REDIS_URL"] = "redis://127.0.0.1:1/0"

    said = _refusal(cluster.command("up", "--port", str(cluster.port), "--detach"))

    assert "REDIS_URL" in said


@pytest.mark.parametrize("workers", ["0", "17"])
def test_a_number_of_workers_that_is_out_of_range(cluster: Cluster, workers: str) -> None:
    said = _refusal(cluster.command("up", "--workers", workers, "--detach"))

    assert f"1 to 16 workers, not {workers}" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["ps"],
        ["ps", "--json"],
        ["stop", "worker-0"],
        ["start", "redis"],
        ["scale", "--workers", "2"],
    ],
    ids=" ".join,
)
def test_without_a_cluster_there_is_nothing_to_change(
    cluster: Cluster, arguments: list[str]
) -> None:
    said = _refusal(cluster.command(*arguments))

    assert f"There is no cluster in {cluster.folder.path}" in said
    assert not cluster.folder.path.exists()


def test_down_of_nothing_is_done_already(cluster: Cluster) -> None:
    done = cluster.command("down")

    assert done.returncode == 0
    assert "No cluster was running" in done.stderr
