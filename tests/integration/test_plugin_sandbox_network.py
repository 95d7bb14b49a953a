"""Where a plugin may go: to declared hosts, by whatever library it likes, and nowhere else."""

import datetime
import http.server
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kotaemon_node.ports.tools import ToolFailed
from tests.sandboxed import CALLER, WILD, Started, started


class Shop(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent; fails as often as it is told to."""

    protocol_version = "HTTP/1.1"
    failures = 0
    calls = 0

    def answer(self) -> None:
        Shop.calls += 1
        size = int(self.headers.get("Content-Length") or 0)
        said = {"headers": dict(self.headers), "body": self.rfile.read(size).decode()}
        if Shop.failures:
            Shop.failures -= 1
            self.send_response(503)
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[len("/to/") :])
        else:
            self.send_response(200)
        raw = json.dumps(said).encode()
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def served(context: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def shop() -> Iterator[int]:
    server = served()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """Return the port of somebody who is not to be reached."""
    server = served()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory, shop: int, elsewhere: int) -> Iterator[Started]:
    manifest = f"""
        effects: idempotent
        timeout_s: 30
        hosts:
          - {{host: "127.0.0.1:{shop}", private: true}}
          - {{host: "localhost:{shop}", private: true}}
          - localhost:{elsewhere}
          - {{host: "169.254.169.254:80", private: true}}
          - nowhere.invalid:80
        storage: ["mine:*"]
    """
    with started(tmp_path_factory.mktemp("wild"), WILD, manifest) as it:
        yield it


@pytest.mark.parametrize(
    "code",
    [
        "import requests; answer = requests.get('http://127.0.0.1:{shop}/').status_code",
        "import requests; answer = requests.get('http://localhost:{shop}/').status_code",
        "import urllib.request as it; answer = it.urlopen('http://LOCALHOST:{shop}/').status",
        "answer = self.http_client.get('http://localhost:{shop}/').status_code",
        """
        import asyncio
        async def get():
            reader, writer = await asyncio.open_connection("localhost", {shop})
            writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
            line = await reader.readline()
            writer.close()
            return int(line.split()[1])
        answer = asyncio.run(get())
        """,
        """
        it = socket.create_connection(("localhost", {shop}), timeout=5)
        assert it.gettimeout() == 5 and it.getpeername()[1] == {shop}
        it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        it.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        answer = int(it.makefile().readline().split()[1])
        """,
    ],
)
def test_libraries_reach_a_declared_host_as_they_are(wild: Started, shop: int, code: str) -> None:
    assert wild.does(code.replace("{shop}", str(shop))) == 200


@pytest.mark.parametrize(
    "code",
    [
        "__import__('requests').get('http://127.0.0.1:{elsewhere}/', timeout=5)",
        "__import__('requests').get('http://localhost:{elsewhere}/', timeout=5)",  # not private
        "__import__('requests').get('http://localhost:{shop}/to/http://127.0.0.1:{elsewhere}/')",
        "__import__('requests').get('http://example.com/', timeout=5)",
        "__import__('requests').get('http://169.254.169.254/latest/meta-data/', timeout=5)",
        "__import__('requests').get('http://nowhere.invalid/', timeout=5)",
        "__import__('urllib.request').request.urlopen('http://127.0.0.1:{elsewhere}/')",
        "self.http_client.get('http://127.0.0.1:{elsewhere}/')",
        "socket.create_connection(('127.1', {elsewhere}))",
        "socket.create_connection(('2130706433', {elsewhere}))",
        "socket.create_connection(('::ffff:127.0.0.1', {elsewhere}))",
        "socket.create_connection(('localhost.', {elsewhere}))",
        "socket.create_connection(('198.18.0.1', {elsewhere}))",
        "socket._socket.socket(2, 1).connect(('127.0.0.1', {elsewhere}))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        "socket.socket().bind(('', 0))",
        "socket.create_server(('', 0))",
        "socket._socket.getaddrinfo('example.com', 80)",
    ],
)
def test_nobody_else_is_reached(wild: Started, shop: int, elsewhere: int, code: str) -> None:
    code = code.replace("{elsewhere}", str(elsewhere)).replace("{shop}", str(shop))
    Shop.calls = 0

    assert wild.tries(code) in {
        "PermissionError", "ConnectionError", "URLError", "gaierror", "OSError",
    }  # fmt: skip
    assert Shop.calls <= code.count("/to/")  # the redirect itself was asked for


# Ways to write this machine, its neighbours and the metadata of clouds; {port} is that of somebody
# who listens there and must not be asked. Collected from public lists of tests for request forgery.
FORGED = [
    "http://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/",
    "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/", "http://017700000001:{port}/", "http://0x7f.1:{port}/",
    "http://127.0.0.1.:{port}/", "http://127.000.000.001:{port}/", "http://127.0.0.2:{port}/",
    "http://0:{port}/", "http://0.0.0.0:{port}/", "http://[::]:{port}/", "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/", "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/", "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/",
    "http://[fe80::1%25lo]:{port}/", "http://[fd00:ec2::254]/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/", "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://[::ffff:a9fe:a9fe]/",
    "http://metadata.google.internal/computeMetadata/v1/", "http://100.100.100.200/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://localhost:{port}/",
    "http://LOCALHOST:{port}/", "http://localhost.localdomain:{port}/",
    "http://ip6-localhost:{port}/", "http://localhost%00.example.com:{port}/",
    "http://127.0.0.1:{port}#@example.com/", "http://example.com@127.0.0.1:{port}/",
    "http://example.com\\@127.0.0.1:{port}/", "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/", "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    "http://localhost:{shop}/to/http://127.0.0.1:{port}/",
    "http://localhost:{shop}/to/http://169.254.169.254/latest/meta-data/",
    "http://localhost:{shop}/to/file:///etc/passwd",
    "http://localhost:{shop}/to/gopher://x:{port}/",
    "file:///etc/passwd", "file://localhost/etc/passwd", "gopher://127.0.0.1:{port}/_x",
    "dict://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "unix:///var/run/docker.sock",
    "data:text/plain,x", "jar:http://127.0.0.1:{port}!/", "//127.0.0.1:{port}/", "http:127.0.0.1",
    "http:///127.0.0.1:{port}/", "", "http://",
]  # fmt: skip


def test_no_address_that_somebody_forged_is_asked(wild: Started, shop: int, elsewhere: int) -> None:
    """Whatever writes the address: a page, a redirect, a model; by any of two libraries."""
    urls = [it.replace("{port}", str(elsewhere)).replace("{shop}", str(shop)) for it in FORGED]
    assert len(set(urls)) > 50
    Shop.calls = 0
    code = f"""
        import json, requests, urllib.request
        answer = []
        for url in json.loads({json.dumps(json.dumps(urls))}):
            for name, get in (
                ("requests", lambda it: requests.get(it, timeout=5)),
                ("urllib", lambda it: urllib.request.urlopen(it, timeout=5)),
            ):
                try:
                    reply = get(url)
                    raw = reply.content if name == "requests" else reply.read()
                    answer.append((name, url, len(raw)))
                except Exception as error:
                    del error
    """
    reached = [tuple(it) for it in wild.does(code)]  # type: ignore[attr-defined]
    # An address that holds its own content is no door to anywhere.
    assert [it for it in reached if not it[1].startswith("data:")] == []
    redirects = sum(1 for url in urls if "/to/" in url)
    assert 0 < Shop.calls <= 2 * redirects, (
        "a redirect itself may be asked for, what it names may not"
    )


def test_an_address_behind_its_own_connection_is_refused(wild: Started, shop: int) -> None:
    """A connection that was handed over cannot be used for another one."""
    code = f"""
        libc = ctypes.CDLL(None, use_errno=True)
        it = socket.create_connection(("127.0.0.1", {shop}))
        there = bytes([2, 0, 0, 80, 127, 0, 0, 1]) + bytes(8)
        nowhere = bytes(16)
        answer = [
            libc.connect(it.fileno(), there, 16),
            libc.connect(it.fileno(), nowhere, 16),
            libc.sendto(it.fileno(), b"x", 1, 0x20000000, there, 16),
            libc.listen(it.fileno(), 1),
        ]
    """
    assert wild.does(code) == [-1, -1, -1, -1]


def test_the_client_sends_the_key_and_repeats_what_may_be_repeated(
    wild: Started, shop: int
) -> None:
    Shop.failures = 1
    post = f"answer = self.http_client.post('http://localhost:{shop}/', json=[1]).json()"
    said = wild.does(post, key="s1:t1:0.1")

    assert said["headers"]["Idempotency-Key"] == "s1:t1:0.1"
    assert said["body"] == "[1]"


def test_the_client_repeats_nothing_that_acts_twice(tmp_path: Path, shop: int) -> None:
    manifest = f"{{effects: once, hosts: [{{host: 'localhost:{shop}', private: true}}]}}"
    with started(tmp_path, WILD, manifest) as wild:
        Shop.failures = 1
        once = f"answer = self.http_client.post('http://localhost:{shop}/').status_code"
        assert wild.does(once) == 503
        Shop.failures = 1
        assert wild.does(once.replace("post", "get")) == 200


def test_the_certificate_is_checked_where_the_plugin_is(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = served(context)
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(certificate.read_bytes())
    url = f"https://localhost:{server.server_port}/"
    manifest = (
        f"{{effects: read, hosts: [{{host: 'localhost:{server.server_port}', private: true}}]}}"
    )
    try:
        with started(folder, WILD, manifest) as wild:
            get = f"import requests\nanswer = requests.get('{url}', verify='{folder}/ca.pem')"
            assert wild.does(f"{get}.status_code") == 200
            with pytest.raises(ToolFailed, match="SSLError"):
                wild.does(f"import requests\nrequests.get('{url}')")
    finally:
        server.shutdown()
        server.server_close()


def test_a_name_is_resolved_once_and_looked_at(
    wild: Started, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means an inner address at the second look (rebinding) is asked for once."""
    asked = []

    def rebinding(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) > 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    code = "socket.create_connection(('nowhere.invalid', 80), timeout=1)"
    assert wild.tries(code) in {"TimeoutError", "OSError", "PermissionError"}
    assert asked == ["nowhere.invalid"]


def test_values_are_kept_under_declared_keys_and_users_stay_in_their_session(
    wild: Started,
) -> None:
    wild.does("self.shared_storage.set('mine:1', {'n': [1, None]}, ttl_s=60)")
    assert wild.does("answer = self.shared_storage.get('mine:1')") == {"n": [1, None]}
    assert wild.does("self.shared_storage.delete('mine:1')") is None
    assert wild.does("answer = self.shared_storage.get('mine:1', 'gone')") == "gone"
    assert wild.does("answer = self.shared_storage.get('user_id:s1')") == "u1"
    assert wild.does("answer = self.shared_storage.get('context:s1')") == {"language": "en"}
    for code in (
        "self.shared_storage.get('user_id:s2')",
        "self.shared_storage.get('context:s2')",
        "self.shared_storage.set('user_id:s1', 'u2')",
        "self.shared_storage.get('theirs')",
        "self.shared_storage.set('theirs', 1)",
        "self.shared_storage.delete('theirs')",
        "self.shared_storage.get('mine:}{')",
        "self.shared_storage.get('kn:api-keys')",
    ):
        assert wild.tries(code) == "PermissionError", code
    assert wild.tries("self.shared_storage.set('mine:1', 'x' * 20_000)") == "ValueError"
    assert wild.tries("self.shared_storage.set('mine:1', {1, 2})") == "TypeError"


def test_what_one_session_left_running_asks_for_nobody(wild: Started) -> None:
    """A thread that outlives its call gets neither the next session's user nor anything else."""
    wild.does("""
        def later():
            time.sleep(0.3)
            try:
                left.append(self.shared_storage.get("user_id:s1"))
            except Exception as error:
                left.append(type(error).__name__)
        left = self.left = []
        threading.Thread(target=later).start()
    """)
    other = replace(CALLER, session_id="s2", user_id="u2")
    wild.does("answer = time.sleep(0.8)", caller=other)

    assert wild.does("answer = self.left") == ["PermissionError"]


def self_signed(folder: Path) -> Path:
    """Return a file with a certificate for ``localhost`` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file
