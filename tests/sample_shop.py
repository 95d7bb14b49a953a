"""The sample shop's order service, really listening, and its plugins pointed to it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from flask import request
from werkzeug.serving import make_server

SAMPLE = Path(__file__).parents[1] / "sample"
NOW_S = 1_800_000_000.0


@dataclass(frozen=True)
class Shop:
    """Where it listens, and a folder with plugins that ask it."""

    url: str
    plugins: Path

    def order(self, order_id: str) -> Any:
        return requests.get(f"{self.url}/orders/{order_id}", timeout=10).json()


@contextmanager
def served_shop(
    folder: Path, *, before: Callable[[str, str], None] = lambda method, path: None
) -> Iterator[Shop]:
    """Serve the standard orders; state and plugins lie in ``folder``.

    ``before`` is told method and path of each request, and may hold it.
    """
    sys.path.insert(0, str(SAMPLE))
    try:
        from shop.orders import Orders
        from shop.web import create_app
    finally:
        sys.path.remove(str(SAMPLE))
    orders = Orders(
        folder / "orders.json", standard=SAMPLE / "shop" / "orders.json", now_s=lambda: NOW_S
    )
    app = create_app(orders)
    app.before_request(lambda: before(request.method, request.path))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    try:
        yield Shop(f"http://{address}", pointed(folder / "plugins", address))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pointed(folder: Path, address: str) -> Path:
    """Copy the sample plugins with the shop's real address."""
    folder.mkdir()
    for path in sorted((SAMPLE / "plugins").glob("*.*")):
        text = path.read_text("utf-8").replace("127.0.0.1:8090", address)
        (folder / path.name).write_text(text, "utf-8")
    return folder
