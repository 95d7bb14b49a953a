"""A balancer that speaks TLS: what it accepts, what it tells pods, and renewals without a cut."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import requests

from kotaemon_node.local import tls
from tests.balanced_pods import BalancedPods, wait_until
from tests.certificates import Authority, Pair
from tests.redis_server import free_port

STREAMS = 50
TURN = "/v1/sessions/s/turns"


class TlsPods(BalancedPods):
    """Stub pods behind a HAProxy with a certificate that the block may renew."""

    def __init__(self, path: Path) -> None:
        self.authority = Authority(path / "authority")
        self.http_port = free_port()
        super().__init__(path, count=2, tls=True, hsts_s=600, http_port=self.http_port)
        self.files = Pair(path / "own.pem", path / "own-key.pem")
        self.serve(self.authority.pair())
        tls.link(self.folder, self.files.certificate, self.files.key)
        self.trusted = ssl.create_default_context(cafile=str(self.authority.file))

    def serve(self, pair: Pair) -> None:
        shutil.copy(pair.certificate, self.files.certificate)
        shutil.copy(pair.key, self.files.key)

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.cluster.port)

    def shown(self) -> int:
        """Return the serial number of the certificate that a new connection gets."""
        with (
            socket.create_connection(self.address, timeout=10) as plain,
            self.trusted.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            return int(line.getpeercert()["serialNumber"], 16)  # type: ignore[index,arg-type]

    def told(self) -> dict[str, float]:
        """Return what the port for watchers tells of the certificate."""
        text = requests.get(
            f"http://127.0.0.1:{self.cluster.balancer_metrics_port}/certificate", timeout=10
        ).text
        lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("kotaemon_balancer_certificate_"): float(v) for name, v in lines}

    def tell(self, command: str) -> None:
        """Give HAProxy a command."""
        assert self._haproxy is not None
        with socket.socket(socket.AF_UNIX) as line:
            # A socket's path may only have 107 bytes.
            line.connect(f"/proc/{self._haproxy.pid}/cwd/run/haproxy.sock")
            line.sendall(f"{command}\n".encode())
            assert line.recv(4096).strip() == b""

    def pod_of(self, session_id: str) -> str:
        return self.get(f"/v1/sessions/{session_id}").headers["X-Served-By"]

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(
            self.url + path, headers=headers, verify=str(self.authority.file), timeout=10
        )


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPods]:
    with TlsPods(tmp_path_factory.mktemp("pods")) as pods:
        yield pods


def shake(pods: TlsPods, *, ciphers: str = "", version: ssl.TLSVersion | None = None) -> str:
    """Return what a client that insists on these is given; raises where it is refused."""
    context = ssl.create_default_context(cafile=str(pods.authority.file))
    # All that this machine's library can do, so that it is the balancer that refuses.
    context.set_ciphers((ciphers or "ALL") + ":@SECLEVEL=0")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(pods.address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as line,
    ):
        return str(line.version())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused_and_the_chain_is_whole(pods: TlsPods) -> None:
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            shake(pods, version=old)
    # Checked against the root alone: the certificate between was sent along.
    assert shake(pods, version=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert shake(pods, version=ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


@pytest.mark.parametrize("weak", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "NULL-SHA256", "ADH"])
def test_ciphers_without_forward_secrecy_or_authenticated_encryption_are_refused(
    pods: TlsPods, weak: str
) -> None:
    with pytest.raises(ssl.SSLError, match=r"HANDSHAKE_FAILURE|handshake failure"):
        shake(pods, ciphers=weak, version=ssl.TLSVersion.TLSv1_2)
    good = "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert shake(pods, ciphers=good, version=ssl.TLSVersion.TLSv1_2) == "TLSv1.2"


def test_how_a_client_came_is_the_balancers_word_alone(pods: TlsPods) -> None:
    lies = {
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-For": "203.0.113.9",
        "Forwarded": "for=203.0.113.9;proto=http",
    }
    seen = pods.get("/v1/me", **lies).json()

    assert seen["forwarded_proto"] == ["https"]
    assert seen["forwarded_for"] == ["127.0.0.1"]
    assert seen["forwarded"] is None


def test_a_proxy_that_was_named_is_believed_and_another_is_not(tmp_path: Path) -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    seen = {}
    for place, networks in (("named", "127.0.0.0/8, 10.0.0.0/8"), ("not", "10.0.0.0/8")):
        with BalancedPods(tmp_path / place, count=1, trusted_proxies=networks) as plain:
            seen[place] = requests.get(f"{plain.url}/v1/me", headers=said, timeout=10).json()

    assert seen["named"]["forwarded_proto"] == ["https"]
    assert seen["named"]["forwarded_for"] == ["203.0.113.9", "127.0.0.1"]
    assert seen["not"]["forwarded_proto"] == ["http"]
    assert seen["not"]["forwarded_for"] == ["127.0.0.1"]


def test_answers_promise_https_and_those_of_the_balancer_do_too(pods: TlsPods) -> None:
    for path in ("/v1/me", "/balancer/unknown"):
        assert pods.get(path).headers["Strict-Transport-Security"] == "max-age=600"


def test_plain_http_is_led_on_and_what_was_sent_in_the_clear_is_refused(pods: TlsPods) -> None:
    plain = f"http://localhost:{pods.http_port}"

    led = requests.get(f"{plain}/v1/me?a=b", allow_redirects=False, timeout=10)
    assert led.status_code == 308
    assert led.headers["Location"] == f"https://localhost:{pods.cluster.port}/v1/me?a=b"
    sent = requests.post(f"{plain}{TURN}", json={"message": "hi"}, timeout=10)
    assert sent.status_code == 403
    assert sent.json()["error"]["code"] == "forbidden"
    assert "https" in sent.json()["error"]["message"]


def curl(pods: TlsPods, *words: str, version: str = "--http2") -> str:
    """Return what curl prints of a request over HTTP/2 that trusts the authority alone."""
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", version]
    done = subprocess.run(
        [*command, "--cacert", str(pods.authority.file), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_over_http_2_a_session_finds_its_pod_and_a_long_message_is_read(
    pods: TlsPods, tmp_path: Path
) -> None:
    shown = ["--write-out", "\n%{http_version}"]
    for session_id in (pods.session_on("worker-0"), pods.session_on("worker-1")):
        home = pods.pod_of(session_id)
        for version, number in (("--http2", "2"), ("--http1.1", "1.1")):
            url = f"{pods.url}/v1/sessions/{session_id}"
            body, told = curl(pods, url, *shown, version=version).rsplit("\n", 1)
            assert (json.loads(body)["pod"], told) == (home, number)
    # More than HTTP/2 lets a sender send unasked (64 KiB), and the session stands in the body.
    long = tmp_path / "long.json"
    home = pods.pod_of("in-the-body")
    long.write_text(
        json.dumps({"message": "字" * 32_000, "session_id": "in-the-body"}, ensure_ascii=False)
    )
    seen = json.loads(curl(pods, f"{pods.url}/chat", "--json", f"@{long}"))
    assert seen["body_bytes"] == long.stat().st_size
    assert seen["pod"] == home


class Stream:
    """One stream over TLS that a thread reads until the block ends."""

    def __init__(self, pods: TlsPods, session: str) -> None:
        self._line = HTTPSConnection(*pods.address, context=pods.trusted, timeout=60)
        self._path = f"/v1/sessions/{session}/turns/t/stream"
        self._over = False
        self.events, self.cut = 0, False
        self.thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        try:
            self._line.request("GET", self._path)
            answer = self._line.getresponse()
            while not self._over:
                line = answer.fp.readline()
                if not line:
                    self.cut = True
                    return
                self.events += line.startswith(b"data:")
        except OSError:
            self.cut = True

    def end(self) -> None:
        self._over = True
        self.thread.join(60)
        self._line.close()


def go_on(streams: list[Stream]) -> None:
    goals = [stream.events + 2 for stream in streams]
    wait_until(
        lambda: all(s.cut or s.events >= goal for s, goal in zip(streams, goals, strict=True)),
        what="every stream goes on",
    )


@pytest.mark.long
def test_a_renewed_certificate_is_served_without_a_cut_and_a_wrong_one_is_not(
    tmp_path: Path,
) -> None:
    with TlsPods(tmp_path) as pods:
        streams = [Stream(pods, f"stream-{number}") for number in range(STREAMS)]
        for stream in streams:
            stream.thread.start()
        go_on(streams)
        first = pods.shown()
        assert pods.told()["refused"] == 0

        # Half of a renewal that never ends: the key of another certificate.
        renewed = pods.authority.pair(days=90)
        shutil.copy(renewed.certificate, pods.files.certificate)
        wait_until(lambda: pods.told()["refused"] == 1, what="the half is refused")
        assert pods.shown() == first
        shutil.copy(renewed.key, pods.files.key)
        wait_until(lambda: pods.shown() == renewed.serial, what="the new one is served")
        assert pods.told()["refused"] == 0
        left_s = pods.told()["not_after_seconds"]

        # One that is about to expire is served, and said to be.
        pods.serve(pods.authority.pair(days=3))
        wait_until(
            lambda: "certificate_expires" in pods.folder.log("haproxy").read_text(),
            what="the log says that it expires",
        )
        assert left_s - pods.told()["not_after_seconds"] == pytest.approx(87 * 86400, abs=60)
        go_on(streams)
        assert not any(stream.cut for stream in streams)
        for stream in streams:
            stream.end()


@pytest.mark.long
def test_a_good_certificate_that_was_tried_at_a_bad_moment_is_served_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLS_AGAIN_S", "1")
    with TlsPods(tmp_path) as pods:
        pods.tell("disable frontend public")  # nobody is let in, and so it is not itself
        renewed = pods.authority.pair(days=90)
        pods.serve(renewed)
        wait_until(lambda: pods.told()["refused"] == 1, what="the good one is refused")
        pods.tell("enable frontend public")

        wait_until(lambda: pods.shown() == renewed.serial, what="it is tried again")
        assert pods.told()["refused"] == 0
