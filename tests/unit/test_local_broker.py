"""What ``up --bus kafka`` says where the broker cannot be run, and when it runs one."""

from pathlib import Path

import pytest

from kotaemon_node.local import broker, broker_jars, places
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.plan import Plan, Wishes, make_plan
from kotaemon_node.settings import Settings


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder of the search path, empty; nothing was fetched yet."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(places, "kafka_folder", lambda: tmp_path / "kafka")
    return programs


def test_a_missing_java_is_one_sentence_with_its_remedy(machine: Path) -> None:
    with pytest.raises(LocalError, match=r"needs Java 17.*apt-get install default-jre-headless"):
        broker.check_java()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("echo 'openjdk version \"11.0.2\" 2019' >&2", "is Java 11; the Kafka broker needs 17"),
        ("echo 'java version \"1.8.0_292\"' >&2", "is Java 1; the Kafka broker needs 17"),
        ("exit 1", "does not run"),
    ],
)
def test_a_java_that_does_not_do_is_told(machine: Path, told: str, message: str) -> None:
    program(machine, "java", told)
    with pytest.raises(LocalError, match=message):
        broker.check_java()


def test_a_java_that_does_is_taken(machine: Path) -> None:
    program(machine, "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    broker.check_java()


def test_without_maven_the_remedy_is_told(machine: Path) -> None:
    with pytest.raises(LocalError, match="apt-get install maven"):
        broker_jars.fetch()


def test_a_download_that_fails_says_why_and_leaves_nothing(machine: Path) -> None:
    program(
        machine, "mvn", "echo '[ERROR] Could not transfer artifact from central: no route'; exit 1"
    )
    with pytest.raises(LocalError, match="could not be fetched by Maven: Could not transfer"):
        broker_jars.fetch()
    assert not broker_jars.there()
    assert list(broker_jars.folder().parent.iterdir()) == []


def test_jars_appear_all_at_once_and_a_second_fetch_does_no_harm(machine: Path) -> None:
    program(
        machine,
        "mvn",
        'for word in "$@"; do case $word in -DoutputDirectory=*) out=${word#*=};; esac; done\n'
        '/bin/mkdir -p "$out"; echo jar > "$out/kafka.jar"',
    )
    for _ in range(2):
        broker_jars.fetch()
    assert broker_jars.there()
    assert [path.name for path in broker_jars.folder().iterdir()] == ["kafka.jar"]


@pytest.mark.parametrize(
    ("bus", "servers", "own", "used"),
    [
        (None, "", False, ""),
        (None, "k:9092", False, "k:9092"),
        ("kafka", "", True, ""),
        ("kafka", "k:9092", False, "k:9092"),
        ("redis", "k:9092", False, ""),
    ],
)
def test_a_broker_is_run_where_none_is_named(
    monkeypatch: pytest.MonkeyPatch, bus: str | None, servers: str, own: bool, used: str
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", servers)
    wishes = Wishes(
        folder=DataFolder(Path("/data")),
        workers=1,
        port=8080,
        host="127.0.0.1",
        knowledge=None,
        detach=True,
        bus=bus,  # type: ignore[arg-type]
    )
    plan: Plan = make_plan(wishes, Settings())
    assert (plan.own_kafka, plan.kafka_servers) == (own, used)
