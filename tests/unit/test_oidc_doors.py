"""A token at every door: the page's cookie on each route, WebSocket, gRPC, OpenAI's form."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kotaemon_node.api.app import create_app
from kotaemon_node.api.permissions import PERMISSIONS
from kotaemon_node.api.principal import LOGIN_COOKIE
from kotaemon_node.domain import limits
from kotaemon_node.domain.oidc import Issuer, LoginClient
from tests import event_loops
from tests.fakes.credentials import bearer
from tests.fakes.grpc_pod import asking, speaking, stub
from tests.fakes.oidc import OidcCluster
from tests.fakes.refusals import assert_refused
from tests.hostile_issuer import AUDIENCE, HostileIssuer, hostile_issuer
from tests.socket_server import SocketServer
from tests.socket_talk import hear, hear_turn, say
from tests.unit.test_api_keys import guarded

LOGIN = LoginClient("page", "https://chat.example/v1/login/oidc/callback", "Example")


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with hostile_issuer() as running:
        yield running


def cluster_of(issuer: HostileIssuer) -> OidcCluster:
    return OidcCluster(issuers=[Issuer("staff", issuer.url, (AUDIENCE,), leeway_s=0, login=LOGIN)])


def test_the_cookie_of_a_login_opens_what_its_role_may_use_and_not_from_elsewhere(
    issuer: HostileIssuer,
) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    issuer.lets_in = lambda nonce: {
        "id_token": issuer.token(
            now_s=cluster.clock.now_s(), aud="page", nonce=nonce, roles=["editor"]
        )
    }
    leaving = client.get("/v1/login/oidc").headers["Location"]
    state = leaving.partition("state=")[2].partition("&")[0]
    nonce = leaving.partition("nonce=")[2].partition("&")[0]
    issuer.token_answer = (200, issuer.lets_in(nonce))
    assert client.get(f"/v1/login/oidc/callback?state={state}&code=c").status_code == 303
    held = client.get_cookie(LOGIN_COOKIE)
    assert held is not None

    for endpoint, method, path in guarded(cluster):
        foreign = client.open(path, method=method, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 401, path
        answer = client.open(path, method=method)
        if "editor" in PERMISSIONS[endpoint].roles:
            assert answer.status_code not in (401, 403), (path, answer.text)
        else:
            assert_refused(answer, 403, "forbidden")
        # The cookie's text is nothing in another place.
        assert client.open(path, method=method, headers=bearer(held.value)).status_code == 401


def test_a_websocket_opens_with_a_token_and_ends_when_it_expires(
    issuer: HostileIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "API_KEYS_KNOWN_S", 0.0)
    cluster = cluster_of(issuer)
    token = issuer.token(now_s=cluster.clock.now_s())
    with SocketServer(create_app(cluster.services())) as server:
        address = f"{server.url}/ws/chat"
        with pytest.raises(InvalidStatus) as refused:
            connect(address, additional_headers=bearer(issuer.unsigned(now_s=0)))
        assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus):
            connect(f"{address}?access_token={token}")
        with connect(address, additional_headers=bearer(token)) as client:
            client.send("May I?")
            assert hear_turn(client)[-1]["type"] == "done"
            cluster.clock.sleep(301)
            say(client, "ping")
            told = hear(client)
            with pytest.raises(ConnectionClosed):
                hear(client)

    assert (told["type"], told["code"]) == ("error", "unauthenticated")


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
def test_grpc_takes_a_token_in_its_metadata(issuer: HostileIssuer, name: str) -> None:
    cluster = cluster_of(issuer)
    now_s = cluster.clock.now_s()
    before = "Bearer " if name == "authorization" else ""

    async def told(text: str) -> Any:
        async with speaking(cluster) as channel:
            call = stub(channel).Generate(asking(), metadata=[(name, f"{before}{text}")])
            try:
                return (await call).output
            except grpc.aio.AioRpcError as error:
                return error.code()

    assert event_loops.run(told(issuer.token(now_s=now_s)))
    for wrong in (issuer.token(now_s=now_s, exp=int(now_s)), issuer.unsigned(now_s=now_s)):
        assert event_loops.run(told(wrong)) is grpc.StatusCode.UNAUTHENTICATED


def test_openais_form_tells_of_a_token_as_of_a_key(issuer: HostileIssuer) -> None:
    cluster = cluster_of(issuer)
    client = cluster.client()
    now_s = cluster.clock.now_s()
    body = {"model": "kotaemon", "messages": [{"role": "user", "content": "How long?"}]}

    def asked(token: str) -> Any:
        return client.post("/v1/chat/completions", json=body, headers=bearer(token))

    assert asked(issuer.token(now_s=now_s)).status_code == 200
    refused = asked(issuer.token(now_s=now_s, aud="another"))
    assert refused.status_code == 401
    assert refused.get_json()["error"]["code"] == "invalid_api_key"
