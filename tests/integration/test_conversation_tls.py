"""Conversations over https and wss: a lost pod costs no character, and cookies stay within TLS."""

import base64
import hashlib
import json
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Page, sync_playwright
from websockets.sync.client import connect

from kotaemon_node.client import Client
from tests.browser.conftest import ARGUMENTS, CHROMIUM, ask, finished
from tests.integration.test_haproxy_tls import TlsPods
from tests.redis_server import RedisServer
from tests.scripted_pods import ScriptedPod
from tests.socket_talk import hear_turn, say, text_of

pytestmark = pytest.mark.long
SCRIPT = json.dumps({"pieces": 60, "pause_ms": 50})
KEY = "kn_" + "a" * 12 + "_" + "b" * 43


class TlsCluster:
    """Two real pods with scripted answers behind the product's HAProxy, which speaks TLS."""

    def __init__(self, balancer: TlsPods, pods: dict[str, ScriptedPod]) -> None:
        self.balancer, self.pods = balancer, pods
        self.url = balancer.url
        self.authority = str(balancer.authority.file)


@pytest.fixture
def cluster(tmp_path: Path, redis_server: RedisServer) -> Iterator[TlsCluster]:
    balancer = TlsPods(tmp_path)
    settings = {
        "CLUSTER_ID": balancer.cluster.cluster_id,
        "AUTH_MODE": "keys",
        "ADMIN_KEY": KEY,
    }
    with ExitStack() as stack:
        stack.callback(balancer.__exit__)
        pods = {
            name: ScriptedPod(tmp_path, redis_server.url, name=name, settings=settings, port=port)
            for name, port in zip(
                ("worker-0", "worker-1"), balancer.cluster.worker_ports, strict=False
            )
        }
        for pod in pods.values():
            stack.enter_context(pod)
        balancer.start_balancer(expected=2)
        balancer.wait_used(*pods)
        yield TlsCluster(balancer, pods)


def test_the_sdk_loses_a_pod_in_the_middle_of_an_answer_and_no_character(
    cluster: TlsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", cluster.authority)
    with Client(endpoint=cluster.url, api_key=KEY, timeout=60_000) as client:
        session = client.create_session()
        path = f"{cluster.url}/v1/sessions/{session.id}"
        told = requests.get(path, headers={"X-API-Key": KEY}, verify=cluster.authority, timeout=30)
        owner = told.headers["X-Served-By"]
        seen = 0
        with client.stream_message(session, SCRIPT) as stream:
            for frame in stream:
                seen += frame.raw["type"] == "text"
                if seen == 5:
                    seen += 1  # once
                    os.kill(cluster.pods[owner].pid, signal.SIGKILL)
            answer = stream.answer()
        assert stream.so_far == answer.response != ""
        history = client.session(session).turns
        assert [turn.response for turn in history] == [answer.response]


def test_a_websocket_and_a_login_whose_cookie_stays_within_tls(cluster: TlsCluster) -> None:
    trusted = ssl.create_default_context(cafile=cluster.authority)
    address = f"{cluster.url.replace('https', 'wss', 1)}/ws/chat"
    made = requests.post(
        f"{cluster.url}/v1/sessions",
        json={},
        headers={"X-API-Key": KEY},
        verify=cluster.authority,
        timeout=30,
    )
    session = made.json()["session_id"]
    with connect(
        f"{address}?session_id={session}",
        ssl=trusted,
        additional_headers={"X-API-Key": KEY},
        origin=cluster.url,  # type: ignore[arg-type]
    ) as client:
        say(client, "message", session_id=session, turn_id="t", text='{"pieces": 3}')
        frames = hear_turn(client)
        assert text_of(frames) == frames[-1]["answer"] != ""

    login = requests.post(
        f"{cluster.url}/v1/login", json={"key": KEY}, verify=cluster.authority, timeout=30
    )
    assert login.status_code < 300, login.text
    assert login.headers["Set-Cookie"]
    for cookie in login.raw.headers.getlist("Set-Cookie"):
        assert "; Secure" in cookie, cookie
    assert login.headers["Strict-Transport-Security"] == "max-age=600"


@contextmanager
def browsing(cluster: TlsCluster) -> Iterator[Page]:
    """Lend a page of a Chromium that trusts the balancer's key and no other."""
    certificate = x509.load_pem_x509_certificate(
        cluster.balancer.files.certificate.read_bytes()
    ).public_key()
    spki = certificate.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    with sync_playwright() as playwright:
        # A browser has no option for an authority.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*ARGUMENTS, f"--ignore-certificate-errors-spki-list={pin}"],
        )
        page = browser.new_page(locale="en-US")
        page.set_default_timeout(60_000)
        try:
            yield page
        finally:
            browser.close()


def test_the_page_logs_in_streams_and_keeps_its_cookie_to_this_host(
    cluster: TlsCluster, tmp_path: Path
) -> None:
    said: list[str] = []
    with browsing(cluster) as page:
        # A 401 before the login is reported by the browser itself.
        page.on(
            "console",
            lambda it: (
                said.append(it.text)
                if it.type in ("error", "warning") and "Failed to load resource" not in it.text
                else None
            ),
        )
        page.goto(cluster.url)
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        ask(page, json.dumps({"pieces": 20, "pause_ms": 100}))
        page.wait_for_selector(".turn:not([data-state=done]) .text:not(:empty)")  # it streams
        finished(page)
        shown = page.locator(".text").inner_text()
        page.screenshot(path=tmp_path / "page.png")

        [cookie] = page.context.cookies()
        assert cookie["name"] == "__Host-kotaemon_login"
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["path"], cookie["domain"]) == ("/", "127.0.0.1")
        assert page.evaluate("document.cookie") == ""
        loaded = page.evaluate("performance.getEntriesByType('resource').map((it) => it.name)")
        assert loaded
        assert all(name.startswith(cluster.url) for name in loaded), loaded
        page.reload()
        finished(page)
        assert page.locator(".text").inner_text() == shown != ""
    assert said == []


def test_chromium_talks_over_https_http_2_and_wss(cluster: TlsCluster) -> None:
    with browsing(cluster) as page:
        page.goto(f"{cluster.url}/openapi.json")
        assert page.evaluate("isSecureContext")
        assert (
            page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        )
        frames = page.evaluate(
            """async ([key, text]) => {
              await fetch("/v1/login", {method: "POST", body: JSON.stringify({key}),
                headers: {"Content-Type": "application/json"}});
              const made = await fetch("/v1/sessions", {method: "POST", body: "{}",
                headers: {"Content-Type": "application/json"}});
              const session = (await made.json()).session_id;
              const socket = new WebSocket(`wss://${location.host}/ws/chat?session_id=${session}`);
              await new Promise((resolve, reject) => {
                socket.onopen = resolve; socket.onerror = reject; });
              const frames = [];
              const ended = new Promise((resolve) => { socket.onmessage = (event) => {
                const frame = JSON.parse(event.data);
                frames.push(frame);
                if (frame.type === "done" || frame.type === "error") resolve();
              }; });
              const said = {type: "message", session_id: session, turn_id: "t", text};
              socket.send(JSON.stringify(said));
              await ended;
              return frames;
            }""",
            [KEY, '{"pieces": 3}'],
        )
    assert frames[-1]["type"] == "done"
    assert text_of(frames) == frames[-1]["answer"] != ""
