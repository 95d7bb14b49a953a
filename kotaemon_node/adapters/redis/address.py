"""What ``REDIS_URL`` may say: one Redis, a primary behind Sentinel, or a Redis Cluster."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from kotaemon_node.adapters.redis.login import FILE_OPTIONS

_SCHEMES: dict[str, Literal["single", "sentinel", "cluster"]] = {
    "redis": "single",
    "rediss": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
_DEFAULT_PORT = {"sentinel": 26379, "cluster": 6379}
_OPTIONS = {
    "sentinel": {"db", "password_file", "sentinel_password", "sentinel_password_file"},
    "cluster": {"password_file"},
}

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is. Of a single Redis its client reads ``url``, and hosts are empty."""

    kind: Literal["single", "sentinel", "cluster"]
    url: str
    hosts: tuple[Address, ...] = ()
    service: str = ""
    db: int = 0
    credentials: dict[str, str] = field(default_factory=dict)
    sentinel_password: str = ""
    tls: bool = False
    files: dict[str, str] = field(default_factory=dict)
    """What TLS needs, by redis-py's names: authority, certificate and key of our own."""
    password_file: str = ""
    sentinel_password_file: str = ""

    @classmethod
    def of(cls, url: str) -> "StoreAddress":
        """Read a URL; raises ``ValueError`` that says what is wrong, without passwords."""
        parts = urlsplit(url)
        kind = _SCHEMES.get(parts.scheme)
        if kind is None:
            raise ValueError(f"REDIS_URL: begins with none of {', '.join(_SCHEMES)} and ://")
        if kind == "single":
            return _single(url, parts)
        tls = parts.scheme.startswith("rediss")
        options = _options(kind, parts, tls=tls)
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
            tls=tls,
            files={name: value for name, value in options.items() if name in FILE_OPTIONS},
            password_file=options.get("password_file", ""),
            sentinel_password_file=options.get("sentinel_password_file", ""),
        )


def _single(url: str, parts: SplitResult) -> StoreAddress:
    """Take out what redis-py does not know: a password in a file, and the user that it is of."""
    tls = parts.scheme == "rediss"
    options = parse_qsl(parts.query, keep_blank_values=True)
    held = dict(options)
    _complete(held)
    for name in held:
        if name in FILE_OPTIONS and not tls:
            raise ValueError(f"REDIS_URL: {name} is for TLS: begin the URL with rediss://")
    if "password_file" not in held:
        return StoreAddress("single", url, tls=tls)
    credentials, _, host = parts.netloc.rpartition("@")
    left = urlencode([(name, value) for name, value in options if name != "password_file"])
    return StoreAddress(
        "single",
        parts._replace(netloc=host, query=left).geturl(),
        credentials=_credentials(credentials),
        tls=tls,
        password_file=held["password_file"],
    )


def _options(kind: str, parts: SplitResult, *, tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _complete(options)
    for name in options:
        if name in FILE_OPTIONS and not tls:
            raise ValueError(f"REDIS_URL: {name} is for TLS: begin the URL with rediss+{kind}://")
        if name not in _OPTIONS[kind] and name not in FILE_OPTIONS:
            raise ValueError(f"REDIS_URL: a redis+{kind} URL takes no option {name!r}")
    return options


def _complete(options: dict[str, str]) -> None:
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("REDIS_URL: ssl_keyfile is the key of a certificate: give ssl_certfile")


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
