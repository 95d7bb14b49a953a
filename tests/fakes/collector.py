"""A small OpenTelemetry collector over real HTTP: it decodes what it is sent and keeps it.

``with Collector() as collector:`` listens at ``collector.url``. Its ``status`` and ``delay_s`` make
it refuse or be slow.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS = {1: "internal", 2: "server", 3: "client"}
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class SeenSpan:
    """A span as it arrived."""

    service: str
    instance: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """"" for the first of its trace."""
    kind: str
    failed: bool
    facts: Mapping[str, Any]
    events: tuple[str, ...]
    begun_ns: int
    ended_ns: int


class _Handler(BaseHTTPRequestHandler):
    collector: "Collector"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: a test's output is its own."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector = self.collector
        collector.leaving.wait(collector.delay_s)
        with collector.lock:
            collector.requests += 1
            collector.headers = dict(self.headers)
            if collector.status == 200 and self.path == "/v1/traces":
                collector.spans += _spans_in(body)
        self.send_response(collector.status if self.path == "/v1/traces" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Collector:
    """The collector. Thread safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.leaving = threading.Event()
        self.spans: list[SeenSpan] = []
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.status = 200
        self.delay_s = 0.0
        handler = type("Handler", (_Handler,), {"collector": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leaving.set()
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str) -> list[SeenSpan]:
        """Return what has arrived of a trace."""
        with self.lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def until(self, trace_id: str, arrived: Callable[[list[SeenSpan]], bool]) -> list[SeenSpan]:
        """Return the trace when ``arrived`` says that it is there; the test fails if it never is.

        Nobody is told when a trace is whole: spans come from several pods.
        """
        deadline_s = time.monotonic() + _PATIENCE_S
        while not arrived(found := self.trace(trace_id)):
            assert time.monotonic() < deadline_s, sorted(span.name for span in found)
            time.sleep(0.05)
        return found


def _spans_in(body: bytes) -> list[SeenSpan]:
    found: list[SeenSpan] = []
    for told in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _facts(told.resource.attributes)
        for span in (span for scope in told.scope_spans for span in scope.spans):
            found.append(
                SeenSpan(
                    service=resource["service.name"],
                    instance=resource.get("service.instance.id", ""),
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    kind=_KINDS[span.kind],
                    failed=span.status.code == 2,
                    facts=_facts(span.attributes),
                    events=tuple(event.name for event in span.events),
                    begun_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                )
            )
    return found


def _facts(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}
