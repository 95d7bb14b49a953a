"""``kotaemon encryption status --uses``: which data keys nothing needs any more, and which not."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kotaemon_node.adapters.redis import (
    RedisDataKeys,
    RedisJobs,
    RedisSessionStore,
    RedisStore,
    connect,
)
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.cli import encryption_uses
from kotaemon_node.cli.encryption_uses import uses_of
from kotaemon_node.cli.main import app
from kotaemon_node.composition.sealing import cipher_of
from kotaemon_node.domain.artifact_names import SESSION_BUCKETS
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.key_uses import KeyUses
from kotaemon_node.domain.session import Principal, SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.jobs import Order
from kotaemon_node.ports.sessions import ClaimRequest, Ending
from kotaemon_node.settings import Settings
from tests.backed_up import BackedUp, whole_sessions
from tests.redis_server import RedisServer

KEY = SessionKey("default", "s1")


@pytest.fixture
def artifacts(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FileArtifactStore:
    """The archive of a cluster that the environment names, with a master key."""
    redis_server.wipe()
    file = tmp_path / "master.keys"
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("ARTIFACT_URL", (tmp_path / "artifacts").as_uri())
    monkeypatch.setenv("ENCRYPTION_KEY_FILE", str(file))
    monkeypatch.setattr(encryption_uses, "SEALS_UNTIL_S", 0.0)
    run("new-key", str(file))
    return FileArtifactStore(tmp_path / "artifacts")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["encryption", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def looked(*arguments: str) -> list[tuple[str, dict[str, int], bool]]:
    """Return state, uses, and whether it may be dropped, of each key, the newest first."""
    said = json.loads(run("status", "--uses", "--json", *arguments))
    keys = said["tenants"]["default"]["keys"]
    return [(key["state"], key["uses"], key["droppable"]) for key in keys]


def store() -> RedisStore:
    """Return the store of a pod that starts now."""
    settings = Settings()
    cipher = cipher_of(
        settings, store=connect(settings.redis_url), artifacts=None, clock=SystemClock()
    )
    return connect(settings.redis_url, cipher=cipher)


def talk(turn: str) -> None:
    """Execute a turn of the session: its history, its title and its context are sealed."""
    sessions = RedisSessionStore(store(), ttl_s=48 * 3600, idle_s=1800)
    claim = sessions.claim(
        ClaimRequest(
            key=TurnKey(KEY, turn),
            principal=Principal("default", "anonymous", "open"),
            digest="digest",
            message="How do I return a cup?",
            options={},
            on_busy="enqueue",
            owner="worker-0.0123456789ab",
            trace_id=turn,
            create_session=True,
            new_epoch=RandomIds().new_id(),
        )
    )
    assert claim.work is not None
    done = FrameBody("done", {"state": "done", "usage": {}, "timings": {}})
    ended = Turn(turn, claim.work.message, State.DONE, answer="In its box.")
    sessions.commit(claim.work.lease, Ending(ended, done, 1), take_next=True)


def test_a_key_is_needed_as_long_as_anything_that_it_sealed_is_somewhere(
    artifacts: FileArtifactStore, tmp_path: Path
) -> None:
    """In Redis, then in the archive, then in a backup; then nowhere, and it may be dropped."""
    talk("t1")
    RedisJobs(store()).submit(Order("job-1", "publish", "default", "default", {"force": True}))
    [(state, uses, may)] = looked()
    assert (state, may) == ("seals", False)
    assert uses["redis"] >= 3

    run("rotate")
    talk("t2")
    (_, new, _), (state, old, may) = looked()
    assert (state, may) == ("opens", False)
    assert min(new["redis"], old["redis"]) >= 1

    # The session rests: its copy lies in the archive, and a backup has it.
    whole = whole_sessions(connect(Settings().redis_url))
    copy = whole.copy(KEY)
    assert copy is not None
    backups = tmp_path / "backups"
    BackedUp(whole, artifacts, backups).back_up(what=("sessions",))
    artifacts.put_if_absent(copy.name.of(KEY), copy.packed())
    connect(Settings().redis_url).client.flushdb()
    (_, new, _), (_, old, may) = looked()  # keys come back from beside the archive
    assert new["archive"] >= 1
    assert old["archive"] >= 1
    assert not may

    artifacts.delete(copy.name.of(KEY))
    _, (_, old, may) = looked()
    assert (old, may) == ({}, True)
    _, (_, old, may) = looked("--backup", backups.as_uri())
    assert old["backups"] >= 1
    assert not may


class Moving(FileArtifactStore):
    """An archive in which a session moves while somebody looks."""

    def __init__(self, root: Path, moves: Callable[[], None], *, after: int) -> None:
        """``moves`` is called once, after so many buckets were listed."""
        super().__init__(root)
        self._moves, self._left = moves, after

    def list(self, prefix: str) -> Iterator[str]:
        """See the port."""
        found = super().list(prefix)
        self._left -= 1
        if self._left == 0:
            self._moves()
            return iter(())
        return found


@pytest.mark.parametrize("wakes", [True, False], ids=["wakes", "goes-to-rest"])
def test_a_session_that_moves_while_somebody_looks_is_met(
    artifacts: FileArtifactStore, tmp_path: Path, wakes: bool
) -> None:
    talk("t1")
    redis = store()
    keys = {"default": RedisDataKeys(redis).read("default")}
    whole = whole_sessions(redis)
    copy = whole.copy(KEY)
    assert copy is not None
    redis.client.flushdb()

    def wake() -> None:
        artifacts.delete(copy.name.of(KEY))
        assert whole.put_back(copy, epoch="e2") == "ok"

    def rest() -> None:
        redis.client.flushdb()
        artifacts.put_if_absent(copy.name.of(KEY), copy.packed())

    rest() if wakes else wake()
    moving = Moving(
        tmp_path / "artifacts",
        wake if wakes else rest,
        after=1 if wakes else SESSION_BUCKETS,
    )
    [uses] = uses_of(keys, redis, moving, {}, lambda count: None).uses.values()

    assert uses.total >= 2
    assert list(uses.values) == ["redis" if wakes else "archive"]


def test_a_key_that_gave_way_this_moment_may_still_seal(
    artifacts: FileArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods learn of another key within seconds: until then nobody drops the one before."""
    talk("t1")
    run("rotate")
    client = connect(Settings().redis_url).client
    client.delete(*client.keys("kn:default:*"))
    assert [may for _, _, may in looked()] == [False, True]
    monkeypatch.setattr(encryption_uses, "SEALS_UNTIL_S", 3600.0)
    assert [may for _, _, may in looked()] == [False, False]
    shown = run("status", "--uses")
    assert "opens" not in shown
    assert "needed" in shown


def test_values_are_known_as_bytes_and_in_base64() -> None:
    """And what looks like one by chance, or is of a key that nobody knows, is none."""
    key_id = "00112233445566ff"
    sealed = b"\xf5\x01" + bytes.fromhex(key_id) + bytes(40)
    uses = KeyUses([key_id])
    uses.take("redis", "a", sealed)
    uses.take("archive", "b", b'{"z":"%s"}' % base64.b64encode(sealed))
    uses.take("archive", "c", b'"9Q9Q%s"' % base64.urlsafe_b64encode(sealed))
    uses.take("redis", "d", b"\xf5\x01" + bytes(48) + b"9QEAAAAAAAAAAAAA")
    assert uses.uses[key_id].values == {"redis": 1, "archive": 2}
    assert uses.uses[key_id].examples == ["a", "b", "c"]
