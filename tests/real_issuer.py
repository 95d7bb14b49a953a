"""A real issuer process for tests: ``oidc-provider`` of npm, run by node under ``tests/js``."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

CLIENT_SECRET: Final = "a-secret-of-the-client-for-tests-only"
API_AUDIENCE: Final = "kotaemon-api"
_JS: Final = Path(__file__).parent / "js"


@dataclass(frozen=True)
class RealIssuer:
    """Where it listens; it knows the client ``kotaemon``."""

    url: str

    def rotate(self) -> None:
        """Have it sign with another key from now on; it publishes both."""
        assert requests.post(f"{self.url}/control/rotate", timeout=20).ok

    def user(self, name: str, *roles: str) -> None:
        """Have this user log in from now on."""
        asked = {"name": name, "role": list(roles)}
        assert requests.post(f"{self.url}/control/user", params=asked, timeout=20).ok

    def machine_token(self) -> str:
        """Return an access token that the client gets for itself: a JWT for the API."""
        answer = requests.post(
            f"{self.url}/token",
            data={"grant_type": "client_credentials", "scope": "kotaemon:talk"},
            auth=("kotaemon", CLIENT_SECRET),
            timeout=20,
        )
        assert answer.ok, answer.text
        return str(answer.json()["access_token"])

    def visit(self, address: str, *, until: str) -> str:
        """Go where a browser goes, up to the first address that begins with ``until``."""
        with requests.Session() as browser:
            for _ in range(10):
                answer = browser.get(address, allow_redirects=False, timeout=20)
                assert answer.status_code in (302, 303), answer.text
                address = requests.compat.urljoin(address, answer.headers["Location"])
                if address.startswith(until):
                    return address
        raise AssertionError("the issuer sends the browser in circles")


@contextmanager
def real_issuer(redirect_url: str) -> Iterator[RealIssuer]:
    """Run one that sends logins back to ``redirect_url``."""
    process = subprocess.Popen(
        ["node", "oidc_issuer.mjs", redirect_url, CLIENT_SECRET],
        cwd=_JS,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                break
        else:
            raise AssertionError("the issuer ended at its start")
        yield RealIssuer(f"http://127.0.0.1:{json.loads(line)['port']}")
    finally:
        process.kill()
        process.wait()
