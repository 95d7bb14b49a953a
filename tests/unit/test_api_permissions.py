"""Deny by default: no route without a row, no row without a route, no way past the table."""

import pytest
from flask import Blueprint, Request, Response

from kotaemon_node.api import app as app_module
from kotaemon_node.api import openapi, permissions
from kotaemon_node.api.app import create_app
from kotaemon_node.api.operations import OPERATIONS
from kotaemon_node.api.permissions import PERMISSIONS, check, is_public
from kotaemon_node.api.principal import ANONYMOUS, principal_of
from kotaemon_node.domain.errors import Forbidden, Unauthenticated
from kotaemon_node.domain.session import Principal
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster


def test_every_route_has_a_row_in_both_tables_and_every_row_a_route() -> None:
    app = create_app(FakeCluster().services())

    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert endpoints == PERMISSIONS.keys()
    assert endpoints == OPERATIONS.keys()


def test_a_pod_with_an_unlisted_route_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = Blueprint("forgotten", __name__)
    forgotten.add_url_rule("/forgotten", "open_door", lambda: Response("in"))
    monkeypatch.setattr(app_module, "_BLUEPRINTS", (*app_module._BLUEPRINTS, forgotten))

    with pytest.raises(RuntimeError, match=r"forgotten\.open_door"):
        create_app(FakeCluster().services())


def test_a_route_that_lost_its_row_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeCluster().client()
    rows = {name: row for name, row in PERMISSIONS.items() if name != "cluster.read_cluster"}
    monkeypatch.setattr(permissions, "PERMISSIONS", rows)

    assert_refused(client.get("/v1/cluster"), 403, "forbidden")


@pytest.mark.parametrize("mode", ["keys", "oidc", "", "OPEN"])
def test_a_mode_that_cannot_be_checked_lets_nobody_in(mode: str) -> None:
    cluster = FakeCluster()
    cluster.auth_mode = mode
    client = cluster.client()
    app = create_app(cluster.services())

    # HEAD and the page's address without its parameters say the same as GET.
    for rule, method in openapi.methods_of(app.url_map.iter_rules()):
        path = openapi.template(rule).replace("{", "").replace("}", "")
        answer = client.open(path, method=method)
        if is_public(rule.endpoint):
            assert answer.status_code not in (401, 403), path
        else:
            assert_refused(answer, 401, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert cluster.turns.submitted == []


def test_in_open_mode_everybody_is_the_same_anonymous_caller() -> None:
    request = Request({})

    assert principal_of(request, auth_mode="open", authority=None) == ANONYMOUS
    assert Principal("default", "anonymous", "open") == ANONYMOUS
    with pytest.raises(Unauthenticated):
        principal_of(request, auth_mode="keys", authority=None)


@pytest.mark.parametrize(
    ("role", "endpoint", "allowed"),
    [
        ("customer", "chat.chat", True),
        ("customer", "knowledge.search", True),
        ("customer", "knowledge.list_documents", False),
        ("customer", "cluster.read_cluster", False),
        ("editor", "knowledge.list_documents", True),
        ("editor", "cluster.read_cluster", False),
        ("agent", "turns.cancel_turn", True),
        ("admin", "cluster.read_cluster", True),
        ("open", "cluster.read_cluster", True),
        ("admin", "nothing.like_it", False),
    ],
)
def test_a_role_may_do_what_its_row_says(role: str, endpoint: str, *, allowed: bool) -> None:
    caller = Principal("default", "someone", role)  # type: ignore[arg-type]

    if allowed:
        check(endpoint, caller)
    else:
        with pytest.raises(Forbidden):
            check(endpoint, caller)


def test_what_is_about_all_tenants_is_for_those_who_run_the_cluster() -> None:
    ours, theirs = (Principal(tenant, "someone", "admin") for tenant in ("default", "acme"))
    refused = set()
    for endpoint, row in PERMISSIONS.items():
        check(endpoint, ours)
        try:
            check(endpoint, theirs)
        except Forbidden:
            refused.add(endpoint)
            assert row.whole_cluster, endpoint

    assert refused == {
        "cluster.read_cluster",
        "plugins.list_plugins",
        "plugins.push_plugin",
        "plugins.change_plugin",
        "plugins.reload_plugin",
        "plugins.delete_plugin",
    }


def test_only_health_the_page_its_login_and_the_description_need_no_caller() -> None:
    assert {name for name, row in PERMISSIONS.items() if row.signed} == {"channels.receive"}
    assert {name for name, row in PERMISSIONS.items() if row.public and not row.signed} == {
        "health.healthz",
        "health.readyz",
        "health.metrics",
        "health.balancer",
        "openapi.document",
        "page.index",
        "page.admin",
        "page.asset",
        "login.log_in",
        "login.log_out",
        "login.ways_in",
        "login.leave",
        "login.come_back",
    }
