"""As much of a Weaviate server as our adapter speaks to, in this process.

It passes the contract of the port beside the real one (tests/contract/test_vector_store.py).
"""

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.weaviate import WeaviateAddress
from kotaemon_node.adapters.weaviate.names import SEAL

KEY = "not-a-secret"
_PART = re.compile(
    r'(s\d+):(\w+)\(tenant:"([^"]+)"(?:,limit:(\d+),nearVector:\{vector:\[([^\]]*)\]\})?\)'
)

Shard = dict[str, NDArray[np.float32]]


class FakeWeaviate:
    """Holds collections, their tenants and vectors; the test may change all of it."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, Shard]] = {}
        self.version = "1.35.2"
        self.status = 200
        """What every request is answered with, where it is not 200."""
        self.requests: list[str] = []
        self.refuse_objects = 0
        """So many objects are not taken."""
        self.forget_objects = 0
        """So many are taken and not kept."""
        self._http: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def address(self) -> WeaviateAddress:
        return WeaviateAddress(f"http://127.0.0.1:{self.port}", key=KEY)

    @property
    def setting(self) -> str:
        return f"weaviate+http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._http is not None

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """Refuse connections; what it holds stays."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    remove = kill

    def wipe(self) -> None:
        """Forget everything."""
        self.collections.clear()

    def shards(self) -> dict[str, int]:
        """Return by tenant of a collection how many vectors it has; sealed ones alone."""
        return {
            name: len(shard) - 1
            for made in self.collections.values()
            for name, shard in made.items()
            if SEAL in shard
        }

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        below = path.strip("/").split("/")[1:]
        if below[0] == "schema":
            return self._schema(method, below[1:], body)
        match below:
            case ["meta"]:
                return 200, {"version": self.version}
            case ["batch", "objects"]:
                return 200, [self._put(it) for it in body["objects"]]
            case ["graphql"] if self.collections:
                return 200, self._query(body["query"])
        return 422, {"error": [{"message": "no graphql provider present"}]}

    def _schema(self, method: str, below: list[str], body: Any) -> tuple[int, Any]:
        if below[1:] == ["tenants"]:
            return self._tenants(method, below[0], body)
        if method == "POST":
            self.collections[body["class"]] = {}
        if method == "DELETE":
            self.collections.pop(below[0], None)
        if method == "GET" and below:
            return (200, {"class": below[0]}) if below[0] in self.collections else (404, None)
        return 200, {"classes": [{"class": name} for name in self.collections]}

    def _tenants(self, method: str, name: str, body: Any) -> tuple[int, Any]:
        if name not in self.collections:
            return 422, {"error": [{"message": "class not found"}]}
        made = self.collections[name]
        if method == "POST":
            for tenant in body:
                made.setdefault(tenant["name"], {})
        if method == "DELETE":
            for tenant in body:
                made.pop(tenant, None)
        return 200, [{"name": tenant} for tenant in made]

    def _put(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        shard = self.collections.get(item["class"], {}).get(item["tenant"])
        if shard is None or self.refuse_objects:
            self.refuse_objects = max(0, self.refuse_objects - 1)
            return {"result": {"errors": {"error": [{"message": "tenant not found"}]}}}
        if self.forget_objects:
            self.forget_objects -= 1
            return {"result": {"status": "SUCCESS"}}
        shard[item["id"]] = np.array(item.get("vector", ()), dtype=np.float32)
        return {"result": {"status": "SUCCESS"}}

    def _query(self, query: str) -> Mapping[str, Any]:
        data: dict[str, dict[str, Any]] = {"Get": {}, "Aggregate": {}}
        errors = []
        for alias, name, tenant, limit, numbers in _PART.findall(query):
            if name not in self.collections:
                return {"errors": [{"message": f'Cannot query field "{name}"'}]}
            kind = "Get" if limit else "Aggregate"
            shard = self.collections[name].get(tenant)
            if shard is None:
                errors.append({"message": f'tenant not found: "{tenant}"', "path": [kind, alias]})
                data[kind][alias] = None
            elif limit:
                near = np.array([float(it) for it in numbers.split(",")], dtype=np.float32)
                held = [it for it in shard if len(shard[it])]
                ids = sorted(held, key=lambda it: -float(shard[it] @ near))[: int(limit)]
                data[kind][alias] = [{"_additional": {"id": it}} for it in ids]
            else:
                data[kind][alias] = [{"meta": {"count": len(shard)}}]
        return {"data": data, **({"errors": errors} if errors else {})}


def _handler(fake: FakeWeaviate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in two packets waits 40 ms for the first one's receipt

        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            fake.requests.append(f"{self.command} {self.path}")
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                status, answer = 401, {"error": "anonymous access not enabled"}
            elif fake.status != 200:
                status, answer = fake.status, {"error": "as the test wants"}
            else:
                status, answer = fake.answer(self.command, self.path, body)
            raw = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            # A server that was killed answers nobody who was connected, either.
            if fake.running:
                self.wfile.write(raw)
            else:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            pass

    return Handler
