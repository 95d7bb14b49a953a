"""The client of plugins: ``requests``, which retries what may be repeated and ends in time.

Where it may go is not decided here: the process cannot connect by itself (``child.sockets``).
"""

from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from kotaemon_node.plugins.current import current_call

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TRIES_AGAIN: Final = 2
_BACKOFF_S: Final = 0.2
_CONNECT_S: Final = 3.0
_AGAIN: Final = frozenset({429, 502, 503, 504})
_RETRY_AFTER_S_MAX: Final = 2.0
KEY_HEADER: Final = "Idempotency-Key"


class _BoundedRetry(Retry):
    """Waits no longer than a call can bear, whatever a server asks for."""

    def get_retry_after(self, response: Any) -> float | None:
        """Return how long the server asks to wait, in seconds."""
        wanted = super().get_retry_after(response)
        return None if wanted is None else min(wanted, _RETRY_AFTER_S_MAX)


def retries(*, repeatable: bool) -> Retry:
    """Return the rule: safe methods, and all of them where the call's key makes them so."""
    return _BoundedRetry(
        total=_TRIES_AGAIN,
        backoff_factor=_BACKOFF_S,
        backoff_jitter=_BACKOFF_S,
        status_forcelist=_AGAIN,
        allowed_methods=None if repeatable else _SAFE,
        raise_on_status=False,
    )


class _Adapter(HTTPAdapter):
    """Takes the rule from the call that runs."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """See ``requests``. What could not connect is tried again, too: nothing was sent."""
        self.max_retries = retries(repeatable=current_call().repeatable)
        return super().send(*arguments, **options)


class Client(requests.Session):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # no proxy and no netrc: there is nothing of ours in the environment
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request; without a ``timeout`` it has what is left of the call."""
        call = current_call()
        left_s = call.left_s()
        if options.get("timeout") is None:
            options["timeout"] = (min(_CONNECT_S, left_s), left_s)
        headers = dict(options.get("headers") or {})
        if call.idempotency_key and KEY_HEADER.lower() not in {name.lower() for name in headers}:
            headers[KEY_HEADER] = call.idempotency_key
        options["headers"] = headers
        return super().request(method, url, **options)


def make_client() -> Client:
    """Return a client."""
    return Client()
