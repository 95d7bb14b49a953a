"""A server that answers ``_bulk`` as Elasticsearch does, in memory; it can be busy, slow or broken.

It knows of an action what the sink uses: ``create`` with ``_index`` and ``_id``.
"""

import base64
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}")


class FakeElasticsearch:
    """Listens on a port of its own."""

    def __init__(self, *, user: str = "", password: str = "", api_key: str = "") -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests = 0
        self.statuses: list[int] = []
        """What the next requests are answered before anything is done; 0: as ever."""
        self.busy: list[int] = []
        """Places of the next request's documents that are answered 429."""
        self.die_behind = 0
        """After so many more documents the connection is cut, in the middle of a request."""
        self.body_bytes_max = 1 << 30
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._wanted = f"ApiKey {api_key}" if api_key else f"Basic {basic}" if user else ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert urlsplit(self.path).path == "/_bulk"
                assert self.headers["Content-Type"] == "application/x-ndjson"
                assert body.endswith(b"\n")
                if status := outer._refusal(self.headers.get("Authorization", ""), len(body)):
                    return self._answer(status, {"error": {"type": "refused"}})
                items = outer._bulk(body.splitlines())
                if items is None:
                    self.close_connection = True
                    return None
                errors = any("error" in item["create"] for item in items)
                return self._answer(200, {"took": 1, "errors": errors, "items": items})

            def _answer(self, status: int, told: Any) -> None:
                raw = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ids(self) -> list[str]:
        return [name for _, name in self.documents]

    def _refusal(self, credential: str, body_bytes: int) -> int:
        self.requests += 1
        status = self.statuses.pop(0) if self.statuses else 0
        if self._wanted and credential != self._wanted:
            return 401
        return status or (413 if body_bytes > self.body_bytes_max else 0)

    def _bulk(self, lines: list[bytes]) -> list[dict[str, Any]] | None:
        """Return the items; None where the server dies in between."""
        items: list[dict[str, Any]] = []
        busy, self.busy = self.busy, []
        for place, (action, source) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
            [(kind, meta)] = json.loads(action).items()
            assert kind == "create"
            if self.die_behind:
                self.die_behind -= 1
                if not self.die_behind:
                    return None
            told = self._create(meta["_index"], meta["_id"], json.loads(source))
            if place in busy:
                self.documents.pop((meta["_index"], meta["_id"]), None)
                told = {"status": 429, "error": {"type": "es_rejected_execution_exception"}}
            items.append({"create": {"_index": meta["_index"], "_id": meta["_id"], **told}})
        return items

    def _create(self, index: str, name: str, source: dict[str, Any]) -> dict[str, Any]:
        assert len(name.encode()) <= 512
        assert _INDEX.fullmatch(index), index
        if not isinstance(source.get("version"), int):
            reason = "failed to parse field [version] of type [long]"
            return {
                "status": 400,
                "error": {"type": "document_parsing_exception", "reason": reason},
            }
        if (index, name) in self.documents:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        self.documents[index, name] = source
        return {"status": 201, "result": "created"}
