"""The scripted pod, noting each request that it read: what a balancer may have made of bytes.

One JSON line a request in the file ``REQUEST_JOURNAL`` names, and its number in the answer. The
balancer's own checks and those of whoever starts the pod are left out.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.fakes.scripted_pod import app as _app

_CHECKS = ("/balancer/", "/readyz", "/metrics", "/healthz")
_numbers = itertools.count(1)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the pod does."""
    if environ["PATH_INFO"].startswith(_CHECKS):
        return _app(environ, start_response)
    number = next(_numbers)
    line = {
        "number": number,
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "length": environ.get("CONTENT_LENGTH"),
        "coding": environ.get("HTTP_TRANSFER_ENCODING"),
    }
    with open(os.environ["REQUEST_JOURNAL"], "a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("X-Request-Number", str(number))], *rest)

    return _app(environ, start)
