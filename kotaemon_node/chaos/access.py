"""How clients of a run are let in, and by which ids their sessions go."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests

_TRIES_S = 60.0
_PAUSE_S = 0.5
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Access:
    """Without a key (an open cluster) clients choose ids; with one the cluster makes them."""

    key: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What each request carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def session(self, url: str, name: str, *, failed: Callable[[str], None]) -> str:
        """Return the id of a new session: ``name`` itself, or one that the cluster made.

        ``failed`` is told of each try in vain; after a minute of them
        ``requests.RequestException``.
        """
        if not self.key:
            return name
        until_s = time.monotonic() + _TRIES_S
        while True:
            try:
                answer = requests.post(
                    f"{url}/v1/sessions", json={}, headers=self.headers, timeout=_TIMEOUT_S
                )
                answer.raise_for_status()
                return str(answer.json()["session_id"])
            except requests.RequestException as error:
                failed(f"a session for {name}: {error}")
                if time.monotonic() > until_s:
                    raise
            time.sleep(_PAUSE_S)
