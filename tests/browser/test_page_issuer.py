"""The page of a cluster with an issuer: its button, the way there and back, and out again."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from werkzeug.serving import make_server

from kotaemon_node.api.app import create_app
from kotaemon_node.domain.oidc import Issuer, LoginClient
from tests.browser.conftest import OpenPage, ask, finished
from tests.browser.test_page_contrast import CONTRAST_MIN, LOW_CONTRASTS
from tests.fakes.oidc import OidcCluster
from tests.hostile_issuer import HostileIssuer, hostile_issuer


@pytest.fixture
def closed() -> Iterator[tuple[str, HostileIssuer]]:
    """Serve a scripted pod whose users come from an issuer; yield its address, and the issuer."""
    with hostile_issuer() as issuer:
        made: list[Any] = []

        def app(environ: Any, start: Any) -> Any:
            return made[0](environ, start)  # it is made once its address is known

        server = make_server("127.0.0.1", 0, app, threaded=True)
        url = f"http://127.0.0.1:{server.server_port}"
        login = LoginClient("page", f"{url}/v1/login/oidc/callback", "Example")
        cluster = OidcCluster(issuers=[Issuer("staff", issuer.url, (), login=login)])
        made.append(create_app(cluster.services()))
        issuer.lets_in = lambda nonce: {
            "id_token": issuer.token(now_s=cluster.clock.now_s(), aud="page", nonce=nonce)
        }
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield url, issuer
        server.shutdown()


def test_the_page_goes_to_the_issuer_comes_back_and_goes_out(
    closed: tuple[str, HostileIssuer], open_page: OpenPage
) -> None:
    url, _ = closed
    page = open_page(url)
    button = page.get_by_role("link", name="Log in with Example")
    expect(button).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate(LOW_CONTRASTS, CONTRAST_MIN) == []

    button.click()
    expect(page.locator("#question")).to_be_focused()
    ask(page, "How long?")
    finished(page)
    assert page.evaluate("document.cookie") == ""
    assert "code=" not in page.url

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in with Example")).to_be_visible()
    page.get_by_role("button", name="切换到中文").click()
    expect(page.get_by_role("link", name="使用 Example 登录")).to_be_visible()


@pytest.mark.long
def test_a_login_that_was_refused_is_said_and_the_admin_page_is_come_back_to(
    closed: tuple[str, HostileIssuer], open_page: OpenPage
) -> None:
    url, issuer = closed
    honest, issuer.lets_in = issuer.lets_in, lambda _: {"id_token": "eyJ.e30.x"}
    page = open_page(f"{url}/admin")

    page.get_by_role("link", name="Log in with Example").click()

    expect(page.get_by_role("alert")).to_contain_text("does not open this service")
    assert page.url.partition("?")[0] == f"{url}/admin"
    issuer.lets_in = honest
    page.get_by_role("link", name="Log in with Example").click()
    page.wait_for_url(
        lambda address: address.startswith(f"{url}/admin") and "login=" not in address
    )
