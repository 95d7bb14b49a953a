"""``kotaemon plugins`` against the routes of a pod, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler

from kotaemon_node.adapters.signing import create_signing_key
from kotaemon_node.api.app import create_app
from kotaemon_node.cli.main import app
from kotaemon_node.cli.service import ServiceError
from kotaemon_node.domain.plugin_bundle import packed
from kotaemon_node.local.errors import LocalError
from kotaemon_node.ports.knowledge import PodReport
from tests.artifact_stores import serving
from tests.fakes.signing import key_settings
from tests.unit.test_api_plugins import FILES, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "store")


@pytest.fixture
def url(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # The server of this test runs in this process, and would write into what the command prints.
    monkeypatch.setattr(WSGIRequestHandler, "log", lambda *_: None)
    with capture_logs(), serving(create_app(desk.cluster.services())) as url:
        yield url


@pytest.fixture
def key(tmp_path: Path) -> str:
    return key_settings(tmp_path)["SIGNING_KEY_FILE"]


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path / "orders.py"


def plugins(*words: str) -> Result:
    # ``typer.Typer.__call__`` tells errors; the runner's own way in raises them.
    return CliRunner().invoke(app, ["plugins", *words])


def test_a_file_is_signed_and_pushed_and_the_same_as_a_bundle(
    desk: Desk, url: str, key: str, orders: Path, tmp_path: Path
) -> None:
    done = plugins("push", str(orders), "--key", key, "--url", url)
    assert done.exit_code == 0, done.exception
    assert "orders" in done.stderr
    stable = desk.row().stable
    assert stable is not None
    assert desk.shelf.files("orders", stable) == FILES

    bundle = tmp_path / "orders.zip"
    bundle.write_bytes(packed({**FILES, "orders.py": b"x = 2\n"}))
    words = ("--rollout", "10", "--config", '{"url": "u"}', "--json")
    done = plugins("push", str(bundle), "--key", key, "--url", url, *words)
    told = json.loads(done.stdout)
    assert (told["rollout_percent"], told["next"]["config"]) == (10, {"url": "u"})


def test_a_bundle_is_packed_as_the_admin_page_uploads_it(
    desk: Desk, url: str, key: str, orders: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    done = plugins("pack", str(orders), "--folder", str(folder), "--key", key)

    assert done.exit_code == 0, done.exception
    assert done.stdout.split() == [str(folder / "orders.zip"), str(folder / "orders.sig")]
    files = {"bundle": folder / "orders.zip", "signature": folder / "orders.sig"}
    sent = {name: (file.name, file.read_bytes()) for name, file in files.items()}
    answer = requests.post(f"{url}/v1/plugins", files=sent, timeout=60)
    assert answer.ok, answer.text
    stable = desk.row().stable
    assert stable is not None
    assert desk.shelf.files("orders", stable) == FILES


def test_everything_else_is_one_word(desk: Desk, url: str, key: str, orders: Path) -> None:
    plugins("push", str(orders), "--key", key, "--url", url)

    for words in (
        ("disable", "orders"),
        ("enable", "orders"),
        ("rollout", "orders", "25"),
        ("config", "orders", '{"key": {"secret": "K"}}'),
        ("reload", "orders"),
    ):
        done = plugins(*words, "--url", url)
        assert done.exit_code == 0, (words, done.exception)

    row = desk.row()
    assert (row.enabled, row.rollout_percent, row.reloads) == (True, 25, 1)
    assert json.loads(plugins("config", "orders", "--url", url).stdout) == {"key": {"secret": "K"}}

    assert plugins("remove", "orders", "--url", url).exit_code == 0
    assert desk.registry.read("default").rows == {}


def test_the_list_shows_what_pods_have_and_what_is_wrong(
    desk: Desk, url: str, key: str, orders: Path
) -> None:
    assert "no plugins" in plugins("list", "--url", url).stderr

    plugins("push", str(orders), "--key", key, "--url", url)
    version = desk.row().stable.version  # type: ignore[union-attr]
    desk.cluster.presence.reports = [
        PodReport(name="worker-0", plugins={"orders": {"version": version}}),
        PodReport(name="worker-1", plugins={"orders": {"version": None, "problem": "no disk"}}),
    ]

    listed = plugins("list", "--url", url)
    assert version in listed.stdout
    assert "1 of 2" in listed.stdout
    assert "worker-1: no disk" in listed.stderr
    assert json.loads(plugins("list", "--json", "--url", url).stdout)["plugins"][0]["pods"]


def test_mistakes_are_told_before_anything_is_sent(
    url: str, key: str, orders: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (\n")
    for words, why in (
        (("push", str(broken), "--key", key), "line 1"),
        (("push", str(tmp_path / "nothing.py"), "--key", key), "no plugin"),
        (("push", str(orders), "--key", str(tmp_path / "none.pem")), "signing key"),
        (("config", "orders", "{"), "no JSON"),
        (("pack", str(orders), "--key", key, "--folder", str(tmp_path / "none")), "--folder"),
        (("config", "orders", "[]"), "JSON object"),
        (("config", "nobody"), "no plugin nobody"),
    ):
        done = plugins(*words, *(() if words[0] == "pack" else ("--url", url)))
        assert isinstance(done.exception, LocalError), words
        assert why in str(done.exception)


def test_a_refusal_of_the_cluster_is_told(
    desk: Desk, url: str, orders: Path, tmp_path: Path
) -> None:
    create_signing_key(tmp_path / "stranger.pem")

    done = plugins("push", str(orders), "--key", str(tmp_path / "stranger.pem"), "--url", url)

    assert isinstance(done.exception, ServiceError)
    assert "not trusted" in str(done.exception)
    assert desk.registry.read("default").rows == {}
