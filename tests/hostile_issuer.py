"""An issuer that a test holds in its hands: it signs, lies, stalls and counts who asks it."""

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE: Final = "kotaemon"


def rsa_key(key_id: str = "first", bits: int = 2048) -> Any:
    """Return a new key of RSA."""
    return RSAKey.generate_key(bits, {"kid": key_id, "use": "sig"}, private=True, auto_kid=False)


def ec_key(key_id: str = "first") -> Any:
    """Return a new key on P-256."""
    return ECKey.generate_key("P-256", {"kid": key_id, "use": "sig"}, private=True)


class HostileIssuer:
    """Serves what a test puts into ``discovery`` and ``keys``; ``stall`` keeps answers back."""

    def __init__(self, key: Any) -> None:
        self.keys: list[Any] = [key]
        self.rows: list[Any] | None = None
        """What is published instead of ``keys``."""
        self.discovery: dict[str, Any] = {}
        """What discovery says otherwise; None: it does not say it."""
        self.asked: list[str] = []
        self.status = 200
        self.padding = 0
        """Bytes of nothing in front of the keys."""
        self.drip_s: float | None = None
        """Pause between two bytes of the keys."""
        self.dripped = 0
        self.token_answer: tuple[int, Any] = (400, {"error": "invalid_grant"})
        self.answers = threading.Event()
        """Cleared, it keeps back what it says of codes."""
        self.answers.set()
        self.forms: list[str] = []
        self.lets_in: Callable[[str], dict[str, Any]] | None = None
        """Makes the answer to a code from the nonce of its login; then anybody is let in."""
        self.stopped = threading.Event()
        handler = type("Handler", (_Handler,), {"issuer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def asked_for_keys(self) -> int:
        return self.asked.count("/keys")

    def token(
        self, *, now_s: float, key: Any = None, header: Mapping[str, Any] | None = None, **said: Any
    ) -> str:
        """Return a token that is good but for what is said; a claim that is None is left out."""
        key = key or self.keys[0]
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "roles": ["customer"],
            "iat": int(now_s),
            "exp": int(now_s) + 300,
            **said,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[key.key_type]
        head = {"alg": algorithm, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return str(jwt.encode(head, claims, key, algorithms=[head["alg"]]))

    def unsigned(self, *, now_s: float, algorithm: str = "none") -> str:
        """Return a token without a signature."""
        _, claims, _ = self.token(now_s=now_s).split(".")
        return f"{_part({'alg': algorithm, 'kid': 'first', 'typ': 'JWT'})}.{claims}."

    def headed(self, *, now_s: float, **said: Any) -> str:
        """Return a token whose head was changed after it was signed."""
        _, claims, signature = self.token(now_s=now_s).split(".")
        return f"{_part({'alg': 'RS256', 'kid': 'first', **said})}.{claims}.{signature}"

    def signed_with_public_key(self, *, now_s: float) -> str:
        """Return a token signed by HMAC with the published key as its secret."""
        _, claims, _ = self.token(now_s=now_s).split(".")
        signed = f"{_part({'alg': 'HS256', 'kid': 'first', 'typ': 'JWT'})}.{claims}"
        # By hand: the library refuses to take a public key for a secret.
        mac = hmac.digest(self.keys[0].as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{_encoded(mac)}"

    def published(self) -> list[Any]:
        return [key.as_dict(private=False) for key in self.keys] if self.rows is None else self.rows

    def described(self) -> dict[str, Any]:
        said = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            **self.discovery,
        }
        return {name: value for name, value in said.items() if value is not None}


@cache
def _lasting_key(number: int) -> Any:
    """Return the key of all first issuers of tests, or of all second ones: making one is slow."""
    return rsa_key()


@contextmanager
def hostile_issuer(number: int = 1) -> Iterator[HostileIssuer]:
    """Run one; each ``number`` has a key of its own under the same name."""
    issuer = HostileIssuer(_lasting_key(number))
    issuer.start()
    try:
        yield issuer
    finally:
        issuer.stop()


class _Handler(BaseHTTPRequestHandler):
    issuer: HostileIssuer

    def do_GET(self) -> None:
        self.issuer.asked.append(self.path)
        if self.path == "/keys":
            self._keys()
        elif self.path.startswith("/authorize") and self.issuer.lets_in is not None:
            asked = {name: told[0] for name, told in parse_qs(urlsplit(self.path).query).items()}
            self.issuer.token_answer = (200, self.issuer.lets_in(asked["nonce"]))
            self.send_response(303)
            self.send_header("Location", f"{asked['redirect_uri']}?code=c&state={asked['state']}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.endswith("/.well-known/openid-configuration"):
            self._tell(self.issuer.status, json.dumps(self.issuer.described()).encode())
        else:
            self._tell(404, b"{}")

    def do_POST(self) -> None:
        self.issuer.asked.append(self.path)
        self.issuer.forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.issuer.answers.wait(30)
        status, told = self.issuer.token_answer
        self._tell(status, json.dumps(told).encode())

    def _keys(self) -> None:
        body = b" " * self.issuer.padding + json.dumps({"keys": self.issuer.published()}).encode()
        if self.issuer.drip_s is None:
            self._tell(self.issuer.status, body)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body:
            try:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                self.issuer.dripped += 1
            except OSError:
                return
            if self.issuer.stopped.wait(self.issuer.drip_s):
                return

    def _tell(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _part(told: Mapping[str, Any]) -> str:
    return _encoded(json.dumps(told).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
