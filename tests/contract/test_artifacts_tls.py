"""Artifacts that a server holds behind TLS, signed by an authority of one's own."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kotaemon_node.adapters.store.http_origin import HttpOrigin
from kotaemon_node.adapters.store.origin import OriginAway
from kotaemon_node.adapters.store.uploads import HttpUploads
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.ports.artifacts import ArtifactsUnavailable
from tests.certificates import Authority


class _Kept(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: dict[str, bytes] = {}  # noqa: RUF012

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, b"")

    def do_GET(self) -> None:
        found = self.kept.get(self.path)
        self._answer(404 if found is None else 200, found or b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who does not trust it goes away; that is what is tested."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Authority, str]]:
    authority = Authority(tmp_path / "authority")
    pair = authority.pair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = _Server(("127.0.0.1", 0), _Kept)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield authority, f"https://127.0.0.1:{server.server_address[1]}/artifacts"
    server.shutdown()
    server.server_close()


def test_they_are_read_and_written_where_the_authority_is_trusted(
    served: tuple[Authority, str], tmp_path: Path
) -> None:
    authority, url = served
    source = tmp_path / "bytes"
    source.write_bytes(b"of a document")

    HttpUploads(url, token="t", clock=SystemClock(), ca_file=authority.file).put("one", source)
    with HttpOrigin(url, token="t", ca_file=authority.file).open("one") as body:
        assert body is not None
        assert b"".join(body.chunks) == b"of a document"


def test_a_stranger_is_refused_and_it_is_said_what_to_do(
    served: tuple[Authority, str], tmp_path: Path
) -> None:
    _, url = served
    source = tmp_path / "bytes"
    source.write_bytes(b"of a document")

    with (
        pytest.raises(OriginAway, match="name the authority's certificate"),
        HttpOrigin(url, token="t").open("one"),
    ):
        pass
    with pytest.raises(ArtifactsUnavailable, match="name the authority's certificate"):
        HttpUploads(url, token="t", clock=SystemClock()).put("one", source)
