"""``kotaemon keys``, and the first admin key of a cluster on one machine; on a real Redis."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kotaemon_node.adapters.redis import RedisApiKeys, connect
from kotaemon_node.adapters.redis import keys as schema
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import Place, place_of
from kotaemon_node.domain.credentials import digest_of, key_id_of, problem_of
from kotaemon_node.domain.ids import RESERVED_TENANTS
from kotaemon_node.local import admin_key
from kotaemon_node.local import cluster as clusters
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def store(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisApiKeys:
    redis_server.wipe()
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    return RedisApiKeys(connect(redis_server.url))


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def keys(*words: str) -> Result:
    # ``typer.Typer.__call__`` tells errors; the runner's own way in raises them.
    return CliRunner().invoke(app, ["keys", *words])


def test_a_key_is_printed_once_and_its_hash_is_kept(store: RedisApiKeys) -> None:
    made = keys(
        "create", "--tenant", "shop", "--role", "agent", "--user", "ann@shop.example",
        "--expires", "90d", "--label", "her phone",
    )  # fmt: skip

    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    key = store.table(None).keys[key_id_of(text) or ""]
    assert key.digest == digest_of(text)
    assert (key.tenant, key.role, key.subject, key.label) == (
        "shop", "agent", "ann@shop.example", "her phone",
    )  # fmt: skip
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == 90 * 86_400
    listed = keys("list", "--json")
    assert json.loads(listed.stdout)[0]["id"] == key.id
    assert text.rpartition("_")[2] not in listed.output
    assert key.digest not in listed.output
    assert key.id in keys("list").output


def test_a_table_that_is_piped_is_not_cut(store: RedisApiKeys) -> None:
    label = "the nightly import of what the warehouse in Singapore has written"
    user = "nightly-import-of-the-warehouse@shop.example"
    assert keys("create", "--role", "editor", "--user", user, "--label", label).exit_code == 0

    # As `kubectl exec` and `kubectl logs` read it: in a process without a terminal.
    listed = subprocess.run(
        [sys.executable, "-m", "kotaemon_node.cli.main", "keys", "list"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert label in listed.stdout
    assert user in listed.stdout


def test_a_command_whose_output_is_closed_does_its_work() -> None:
    closed = f"exec {sys.executable} -m kotaemon_node.cli.main --version >&-"

    done = subprocess.run(["sh", "-c", closed], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_no_tenant_has_a_word_of_the_key_schema_for_its_name(store: RedisApiKeys) -> None:
    # Alone in the place of a tenant, where other rows of the schema have a word.
    words = {
        row.split(":")[1] for row in re.findall(r"^\| (kn:[^| ]+)", schema.__doc__ or "", re.M)
    }
    taken = {word for word in words if word.isidentifier()} - {"pods", "handoffs", "schema"}
    assert taken == RESERVED_TENANTS
    for word in sorted(RESERVED_TENANTS):
        made = keys("create", "--role", "editor", "--tenant", word)
        assert f"--tenant must not be {word!r}" in str(made.exception)
    assert store.table(None).keys == {}


def test_a_key_is_narrowed_to_scopes_and_only_to_those_there_are(store: RedisApiKeys) -> None:
    made = keys("create", "--role", "editor", "--scope", "search", "--scope", "talk")
    wrong = keys("create", "--role", "editor", "--scope", "everything")

    (key,) = store.table(None).keys.values()
    assert key.scopes == ("talk", "search")
    assert "only talk and search" in made.stderr
    assert json.loads(keys("list", "--json").stdout)[0]["scopes"] == ["talk", "search"]
    assert wrong.exit_code != 0
    assert "there is no scope 'everything'" in str(wrong.exception)


def test_a_rotated_key_has_another_secret_and_the_same_rest(store: RedisApiKeys) -> None:
    old = keys("create", "--role", "agent", "--user", "ann", "--scope", "talk").stdout.strip()
    (before,) = store.table(None).keys.values()

    rotated = keys("rotate", old, "--overlap", "2h")

    (after,) = store.table(None).keys.values()
    new = rotated.stdout.strip()
    assert new != old
    assert key_id_of(new) == key_id_of(old)
    assert (after.digest, after.previous_digest) == (digest_of(new), digest_of(old))
    assert after.previous_until > before.created_at + 7200
    assert (after.subject, after.role, after.scopes) == ("ann", "agent", ("talk",))
    assert keys("rotate", after.id, "--overlap", "0").exit_code == 0
    (last,) = store.table(None).keys.values()
    assert last.previous_digest == ""
    assert "There is no key nobody" in str(keys("rotate", "nobody").exception)
    assert "is no time" in str(keys("rotate", after.id, "--overlap", "soon").exception)


def test_a_key_without_a_user_opens_its_own_sessions_only(store: RedisApiKeys) -> None:
    first = keys("create", "--role", "customer").stdout.strip()
    second = keys("create", "--role", "customer").stdout.strip()

    subjects = {key.subject for key in store.table(None).keys.values()}

    assert subjects == {f"key:{key_id_of(first)}", f"key:{key_id_of(second)}"}


@pytest.mark.parametrize("whole", [True, False])
def test_a_key_is_revoked_by_its_id_or_the_key_itself(store: RedisApiKeys, *, whole: bool) -> None:
    text = keys("create", "--role", "admin").stdout.strip()
    name = text if whole else str(key_id_of(text))

    assert keys("revoke", name).exit_code == 0

    assert store.table(None).keys == {}
    again = keys("revoke", name)
    assert isinstance(again.exception, LocalError)
    assert "keys list" in str(again.exception)
    assert text.rpartition("_")[2] not in str(again.exception)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("--role", "king"), "editor"),
        (("--role", "admin", "--expires", "soon"), "90d"),
        (("--role", "admin", "--expires", "0d"), "90d"),
        (("--role", "admin", "--expires", "101y"), "100y"),
        (("--role", "admin", "--tenant", "a b"), "--tenant"),
        (("--role", "admin", "--user", "key:admin"), "user's name"),
        (("--role", "admin", "--user", ""), "user's name"),
        (("--role", "admin", "--label", "x" * 201), "200"),
    ],
)
def test_what_cannot_be_made_is_told_with_advice(
    store: RedisApiKeys, words: tuple[str, ...], advice: str
) -> None:
    refused = keys("create", *words)

    assert refused.exit_code != 0
    assert advice in f"{refused.output} {refused.exception}"
    assert store.table(None).keys == {}


def test_where_there_is_no_cluster_it_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)

    refused = keys("list", "--data", str(tmp_path))

    assert isinstance(refused.exception, LocalError)
    assert "--data" in str(refused.exception)
    assert "REDIS_URL" in str(refused.exception)


def test_an_open_cluster_makes_no_admin_key(folder: DataFolder) -> None:
    assert admin_key.settle(folder, Settings(auth_mode="open")) == {}
    assert not admin_key.file_of(folder).exists()


def test_a_closed_cluster_makes_one_that_only_its_user_reads(folder: DataFolder) -> None:
    told = admin_key.settle(folder, Settings(auth_mode="keys"))

    path = Path(told["ADMIN_KEY_FILE"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert key_id_of(admin_key.read(folder))
    assert admin_key.settle(folder, Settings(auth_mode="keys")) == told
    assert problem_of(admin_key.read(folder)) == ""


def test_the_environments_own_admin_key_comes_before(folder: DataFolder, tmp_path: Path) -> None:
    own = tmp_path / "own.key"
    own.write_text("a-key-of-thirty-two-characters-or-more\n")

    named = admin_key.settle(folder, Settings(auth_mode="keys", admin_key_file=own))
    given = admin_key.settle(folder, Settings(auth_mode="keys", admin_key="a" * 32))

    assert (named, given) == ({"ADMIN_KEY_FILE": str(own)}, {})
    assert not admin_key.file_of(folder).exists()
    own.write_text("too short")
    with pytest.raises(LocalError, match="32") as refused:
        admin_key.settle(folder, Settings(auth_mode="keys", admin_key_file=own))
    assert "too short" not in str(refused.value)


def test_only_the_cluster_of_the_data_folder_is_shown_its_admin_key(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOTAEMON_URL", raising=False)
    admin_key.settle(folder, Settings(auth_mode="keys"))
    cluster = clusters.settle(folder, port=8080, host="127.0.0.1", workers=1, redis_url="")
    clusters.save(folder, cluster)
    own = admin_key.read(folder)

    assert place_of("", folder.path, "") == Place("http://127.0.0.1:8080", own)
    assert place_of("", folder.path, "another") == Place("http://127.0.0.1:8080", "another")
    assert place_of("http://elsewhere/", folder.path, "") == Place("http://elsewhere", "")


def test_secrets_change_with_their_file_and_end_with_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    first, second = "first" + "1" * 30, "second" + "2" * 30
    path.write_text(f"{first}\n")
    secrets = SecretLines(path, check=problem_of)
    assert list(secrets.lines()) == [first]

    replacement = tmp_path / "replacement"
    replacement.write_text(f"\n  {second}\n{first}\r\n")
    os.replace(replacement, path)
    assert list(secrets.lines()) == [second, first]

    path.write_text("short")
    assert list(secrets.lines()) == []
    path.write_text(f"{second}\n")
    assert list(secrets.lines()) == [second]
    path.unlink()
    assert list(secrets.lines()) == []


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"with blanks " * 4])
def test_a_file_that_holds_no_secret_is_told_at_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets"
    path.write_bytes(content)

    with pytest.raises(ValueError, match="secrets"):
        SecretLines(path, check=problem_of)
