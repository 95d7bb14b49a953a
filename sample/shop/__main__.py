"""``PYTHONPATH=sample python -m shop --port 8090 --data FOLDER``: serves the sample shop's orders.

Listens on loopback only: nobody has to show who they are.
"""

import argparse
import signal
import time
from pathlib import Path

import gevent
from gevent.pywsgi import WSGIServer

from shop.orders import Orders
from shop.web import create_app

STANDARD = Path(__file__).with_name("orders.json")


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="shop", description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--data", type=Path, default=Path(".data/shop"))
    asked = parser.parse_args()
    asked.data.mkdir(parents=True, exist_ok=True)
    orders = Orders(asked.data / "orders.json", standard=STANDARD, now_s=time.time)
    server = WSGIServer(("127.0.0.1", asked.port), create_app(orders), log=None)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, server.stop)
    print(f"orders on http://127.0.0.1:{asked.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
