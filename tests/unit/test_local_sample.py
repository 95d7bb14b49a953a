"""The sample shop beside a cluster: when it comes, and where its plugins look for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.adapters.redis.records import made_by
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey
from kotaemon_node.local import config, table
from kotaemon_node.local.cluster import Cluster
from kotaemon_node.local.sample import begin_plugins, shop_environment
from kotaemon_node.ports.sessions import ClaimRequest
from tests.unit.test_local_plan import _plan, empty_environment

__all__ = ["empty_environment"]

CLUSTER = Cluster("c1", "/data", 21_000, 8080, "127.0.0.1", 2, "", shop=True)


def test_the_shop_comes_where_documents_and_plugins_are_the_sample() -> None:
    assert _plan().shop
    assert not _plan(Path("/docs")).shop
    assert not _plan(plugins=Path("/code")).shop


def test_it_is_a_process_of_the_cluster_stopped_behind_the_workers() -> None:
    by_name = {one.name: one for one in config.programs(CLUSTER)}
    assert f"--port {CLUSTER.shop_port} " in by_name["shop"].command
    assert by_name["shop"].priority < by_name["worker-0"].priority
    assert "shop" in table.names(CLUSTER)
    assert "shop" not in table.names(replace(CLUSTER, shop=False))
    assert "[program:shop]" not in config.supervisord_config(replace(CLUSTER, shop=False))


def test_plugins_are_copied_once_and_follow_the_shop_to_another_port(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    begin_plugins(folder, CLUSTER, None)
    assert sorted(path.name for path in folder.iterdir()) == [
        "order_cancel.py",
        "order_cancel.yaml",
        "order_query.py",
        "order_query.yaml",
    ]
    assert f'"127.0.0.1:{CLUSTER.shop_port}"' in (folder / "order_query.yaml").read_text()
    # Given that somebody removed one and changed the other
    (folder / "order_cancel.yaml").unlink()
    (folder / "order_query.yaml").open("a").write("retries: 1\n")
    moved = replace(CLUSTER, first_port=25_000)
    begin_plugins(folder, moved, CLUSTER)
    assert not (folder / "order_cancel.yaml").exists()
    text = (folder / "order_query.yaml").read_text()
    assert text.count(f"127.0.0.1:{moved.shop_port}") == 2
    assert text.endswith("retries: 1\n")


def test_who_says_nothing_is_the_demo_user_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPEN_USER", raising=False)
    assert shop_environment()["OPEN_USER"] == "demo"
    monkeypatch.setenv("OPEN_USER", "mei")
    assert shop_environment()["OPEN_USER"] == "mei"


@pytest.mark.parametrize(
    ("principal", "made"),
    [
        (Principal("default", "anonymous", "open"), ("anonymous", "demo")),
        (Principal("default", "li", "customer"), ("li", "li")),
        (Principal("default", "kim", "agent"), ("kim", "")),
    ],
)
def test_with_credentials_nobody_becomes_the_demo_user(
    principal: Principal, made: tuple[str, str]
) -> None:
    request = ClaimRequest(
        key=TurnKey(SessionKey("default", "s"), "t"), principal=principal, digest="", message="",
        options={}, on_busy="enqueue", owner="", trace_id="", create_session=True, new_epoch="e",
    )  # fmt: skip
    subject, user, unlisted = made_by(request, "demo")
    assert (subject, user) == made
    assert not unlisted
