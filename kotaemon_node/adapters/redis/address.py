"""What ``REDIS_URL`` may say: one Redis, a primary behind Sentinel, or a Redis Cluster."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_SCHEMES: dict[str, Literal["single", "sentinel", "cluster"]] = {
    "redis": "single",
    "rediss": "single",
    "redis+sentinel": "sentinel",
    "redis+cluster": "cluster",
}
_DEFAULT_PORT = {"sentinel": 26379, "cluster": 6379}
_OPTIONS = {"single": None, "sentinel": {"db", "sentinel_password"}, "cluster": set[str]()}

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is. ``hosts`` and what follows is empty for a single Redis."""

    kind: Literal["single", "sentinel", "cluster"]
    url: str
    hosts: tuple[Address, ...] = ()
    service: str = ""
    db: int = 0
    credentials: dict[str, str] = field(default_factory=dict)
    sentinel_password: str = ""

    @classmethod
    def of(cls, url: str) -> "StoreAddress":
        """Read a URL; raises ``ValueError`` that says what is wrong, without passwords."""
        parts = urlsplit(url)
        kind = _SCHEMES.get(parts.scheme)
        if kind is None:
            raise ValueError(f"REDIS_URL: begins with none of {', '.join(_SCHEMES)} and ://")
        if kind == "single":
            return cls(kind, url)
        options = _options(kind, parts)
        service = parts.path.strip("/")
        if kind == "sentinel" and (not service or "/" in service):
            raise ValueError("REDIS_URL: redis+sentinel://host:port/service names one service")
        if kind == "cluster" and service not in {"", "0"}:
            raise ValueError("REDIS_URL: a Redis Cluster has no database but 0")
        credentials, _, hosts = parts.netloc.rpartition("@")
        return cls(
            kind,
            url,
            hosts=tuple(_host(text, _DEFAULT_PORT[kind]) for text in hosts.split(",")),
            service=service if kind == "sentinel" else "",
            db=_number(options.get("db", "0"), "db"),
            credentials=_credentials(credentials),
            sentinel_password=options.get("sentinel_password", ""),
        )


def _options(kind: str, parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in (_OPTIONS[kind] or ()):
            raise ValueError(f"REDIS_URL: a redis+{kind} URL takes no option {name!r}")
    return options


def _host(text: str, default_port: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):  # a name, or an IPv6 address, without a port
        host, port = text, str(default_port)
    if not host:
        raise ValueError("REDIS_URL: a host is missing; hosts are written host:port,host:port")
    return host.strip("[]"), _number(port, f"the port of {host}")


def _number(text: str, what: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"REDIS_URL: {what} is no number")
    return int(text)


def _credentials(text: str) -> dict[str, str]:
    user, _, password = text.partition(":")
    held = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in held.items() if value}
