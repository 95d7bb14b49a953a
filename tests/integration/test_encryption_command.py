"""``kotaemon encryption`` on a real Redis and an artifact store in a folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kotaemon_node.adapters.redis import RedisDataKeys, connect
from kotaemon_node.adapters.sealing import CopiesInArtifacts
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.composition.sealing import cipher_of
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.local.errors import LocalError
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace
from kotaemon_node.settings import Settings
from tests.redis_server import RedisServer
from tests.unit.test_sealed_turn_log import ANSWERED, ASKED, told

PLACE = SealedPlace("t", "turn", session="s", turn="1")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def place(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of master keys of a cluster that the environment names."""
    artifacts = tmp_path / "artifacts"
    file = tmp_path / "keys" / "master.keys"
    for name, text in {
        "REDIS_URL": server.url,
        "ARTIFACT_URL": artifacts.as_uri(),
        "ENCRYPTION_KEY_FILE": str(file),
    }.items():
        monkeypatch.setenv(name, text)
    return file


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["encryption", *arguments])


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def pod() -> FieldCipher:
    """Return the cipher of a process that starts now."""
    settings = Settings()
    artifacts = FileArtifactStore(Path(settings.artifact_url.removeprefix("file://")))
    return cipher_of(
        settings, store=connect(settings.redis_url), artifacts=artifacts, clock=SystemClock()
    )


def ids() -> list[str]:
    return [key["id"] for key in json.loads(done("status", "--json"))["tenants"]["t"]["keys"]]


def test_the_life_of_the_keys_of_a_cluster(place: Path, tmp_path: Path) -> None:
    done("new-key", str(place))
    assert place.stat().st_mode & 0o777 == 0o600
    first = place.read_text()
    assert json.loads(done("status", "--json"))["tenants"] == {}

    sealed = pod().seal(b"said", PLACE)
    done("rotate", "--tenant", "t")
    assert len(ids()) == 2
    assert pod().open(sealed, PLACE) == b"said"

    # Another master key: below, above, all is wrapped by it, and the first one goes.
    done("new-key", str(place), "--last")
    old, new = place.read_text().split()
    assert old == first.strip()
    place.write_text(f"{new}\n{old}\n")
    done("rewrap")
    place.write_text(f"{new}\n")
    assert pod().open(sealed, PLACE) == b"said"

    line = told(pod()).value.decode()
    log = tmp_path / "turns.jsonl"
    log.write_text(f"{line}\n")
    opened = json.loads(done("open", str(log)))
    assert (opened["message"], opened["answer"]) == (ASKED, ANSWERED)

    backup = tmp_path / "backup"
    done("shred", "--tenant", "t", "--yes", "--backup", backup.as_uri())
    with pytest.raises(Sealed, match="destroyed"):
        pod().open(sealed, PLACE)
    assert json.loads(done("open", str(log)))["message"].startswith("sealed:")
    assert list(backup.rglob("*destroyed*"))
    assert pod().open(pod().seal(b"new", PLACE), PLACE) == b"new"


def backed_up(root: Path, tenant: str) -> CopiesInArtifacts:
    """Put the tenant's keys where its backups lie, and return them there."""
    below = root / "tenants" / tenant
    below.mkdir(parents=True, exist_ok=True)
    copies = CopiesInArtifacts(FileArtifactStore(below))
    for row in RedisDataKeys(connect(Settings().redis_url)).read(tenant).rows.values():
        copies.keep(row)
    assert copies.read(tenant).rows
    return copies


def test_the_backups_of_any_tenant_are_wrapped_anew_and_lose_destroyed_keys(
    place: Path, tmp_path: Path
) -> None:
    done("new-key", str(place))
    pod().seal(b"said", PLACE)
    backup = tmp_path / "backup"
    copies = backed_up(backup, "t")
    old = place.read_text()
    done("new-key", str(place))

    done("rewrap", "--backup", backup.as_uri())
    assert [row.wraps for row in copies.read("t").rows.values()] == [1]
    place.write_text(place.read_text().replace(old, ""))

    done("shred", "--tenant", "t", "--yes", "--backup", backup.as_uri())
    assert not copies.read("t").rows
    assert copies.read("t").destroyed
    assert not [path for path in backup.rglob("*") if path.is_file() and path.stat().st_size]


def test_a_shredding_that_missed_a_destination_is_ended_later(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("new-key", str(place))
    sealed = pod().seal(b"said", PLACE)
    [first] = ids()
    copies = backed_up(tmp_path / "one", "t")
    later = backed_up(tmp_path / "two", "t")
    told = ["--backup", (tmp_path / "one").as_uri(), "--backup", (tmp_path / "two").as_uri()]
    with monkeypatch.context() as broken:
        delete = FileArtifactStore.delete

        def away(store: FileArtifactStore, name: str) -> None:
            if store._root == tmp_path / "one":
                raise OSError(5, "away")
            delete(store, name)

        broken.setattr(FileArtifactStore, "delete", away)
        problem = run("shred", "--tenant", "t", "--yes", *told).exception
    assert isinstance(problem, ServiceError)
    assert f"--key {first} --backup {told[1]}" in str(problem)
    # All others went on.
    assert not later.read("t").rows
    with pytest.raises(Sealed, match="destroyed"):
        pod().open(sealed, PLACE)

    done("shred", "--tenant", "t", "--yes", *told)
    assert not list((tmp_path / "one").rglob(f"{first}.*"))
    assert copies.read("t").destroyed == {first}


def test_one_key_alone_is_destroyed(place: Path) -> None:
    done("new-key", str(place))
    old = pod().seal(b"old", PLACE)
    [first] = ids()
    done("rotate")
    new = pod().seal(b"new", PLACE)

    done("shred", "--tenant", "t", "--key", first, "--yes")

    assert pod().open(new, PLACE) == b"new"
    with pytest.raises(Sealed, match="destroyed"):
        pod().open(old, PLACE)


def test_nothing_is_destroyed_without_a_yes_or_by_a_wrong_name(place: Path) -> None:
    done("new-key", str(place))
    sealed = pod().seal(b"said", PLACE)

    assert (
        CliRunner().invoke(app, ["encryption", "shred", "--tenant", "t"], input="n\n").exit_code
        == 1
    )
    assert isinstance(run("shred", "--tenant", "u", "--yes").exception, LocalError)
    wrong = run("shred", "--tenant", "t", "--key", "ab" * 8, "--yes").exception
    assert isinstance(wrong, LocalError)

    assert pod().open(sealed, PLACE) == b"said"


def test_what_cannot_be_done_is_told(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("no key")
    problem = run("new-key", str(place)).exception
    assert isinstance(problem, LocalError)
    assert "32 random bytes" in str(problem)
    assert place.read_text() == "no key"


def test_without_a_master_key_the_commands_say_how_to_get_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENCRYPTION_KEY_FILE")

    problem = run("status").exception

    assert isinstance(problem, LocalError)
    assert "kotaemon encryption new-key" in str(problem)
    assert not place.exists()
