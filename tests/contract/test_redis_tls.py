"""Redis over TLS in each of its forms: whom we trust, who trusts us, and passwords that change."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis

from kotaemon_node.adapters.redis import RedisStore, connect
from kotaemon_node.domain.errors import StoreUnavailable
from tests.certificates import Authority, Pair
from tests.redis_server import RedisServer, free_port
from tests.redis_sets import until

Options = Mapping[str, str | Path]


class Encrypted:
    """A Redis that wants a certificate of ours, its authority, and its port of TLS."""

    def __init__(
        self,
        folder: Path,
        *more: str,
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1"),
        days: float = 30,
    ) -> None:
        self.authority = Authority(folder / "authority")
        self.tls_port = free_port()
        self.ours = self.authority.pair("worker", hosts=("worker",))
        self.options = self.options_of(self.authority.pair("redis", hosts=hosts, days=days))
        # The port without TLS is the test's own.
        self.server = RedisServer(options=("--tls-port", str(self.tls_port), *self.options, *more))
        self.server.start()

    def options_of(self, pair: Pair) -> tuple[str, ...]:
        return (
            *("--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key)),
            *("--tls-ca-cert-file", str(self.authority.file), "--tls-auth-clients", "yes"),
        )

    @property
    def files(self) -> dict[str, str | Path]:
        """What a client needs."""
        return {
            "ssl_ca_certs": self.authority.file,
            "ssl_certfile": self.ours.certificate,
            "ssl_keyfile": self.ours.key,
        }

    def url(self, options: Options | None = None, *, host: str = "127.0.0.1") -> str:
        found = self.files if options is None else options
        return f"rediss://{host}:{self.tls_port}/0?{urlencode(found)}"

    def plain(self) -> redis.Redis:
        return redis.Redis(port=self.server.port, decode_responses=True)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    started = Encrypted(tmp_path_factory.mktemp("redis"))
    yield started
    started.server.remove()


def works(store: RedisStore) -> bool:
    """Whether a pipeline and a command work."""
    replies = store.pipelined(lambda pipe: pipe.set("kn:touch:{7}", "x").get("kn:touch:{7}"))
    return replies[1] == b"x" and bool(store.client.ping())


def test_one_redis_with_certificates_on_both_sides(encrypted: Encrypted) -> None:
    assert works(connect(encrypted.url()))
    assert works(connect(encrypted.url(host="localhost")))


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        ("nobody trusted", "who signed its certificate is not trusted here"),
        ("another authority", "who signed its certificate is not trusted here"),
        ("no certificate of ours", "wants a certificate of ours"),
        ("no TLS there", "speaks no TLS there"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    encrypted: Encrypted, tmp_path: Path, spoil: str, advice: str
) -> None:
    options = dict(encrypted.files)
    url = ""
    match spoil:
        case "nobody trusted":
            options.pop("ssl_ca_certs")
        case "another authority":
            options["ssl_ca_certs"] = Authority(tmp_path, "other").file
        case "no certificate of ours":
            options = {"ssl_ca_certs": encrypted.authority.file}
        case _:
            url = encrypted.url().replace(f":{encrypted.tls_port}/", f":{encrypted.server.port}/")

    with pytest.raises(StoreUnavailable) as refusal:
        connect(url or encrypted.url(options)).pipelined(lambda pipe: pipe.ping())

    assert advice in str(refusal.value)


@pytest.mark.parametrize(
    ("days", "hosts", "advice"),
    [
        (-2, ("127.0.0.1",), "has expired"),
        (30, ("redis.example",), "is for another name"),
    ],
)
def test_an_expired_certificate_and_one_of_another_name_are_refused(
    tmp_path: Path, days: int, hosts: tuple[str, ...], advice: str
) -> None:
    there = Encrypted(tmp_path, hosts=hosts, days=days)
    try:
        with pytest.raises(StoreUnavailable, match=advice):
            connect(there.url()).pipelined(lambda pipe: pipe.ping())
    finally:
        there.server.remove()


def test_sentinels_and_the_primary_that_they_name(tmp_path: Path) -> None:
    there = Encrypted(tmp_path, "--tls-replication", "yes")
    port, config = free_port(), tmp_path / "sentinel.conf"
    words = [
        word if number % 2 else f"\n{word[2:]}"
        for number, word in enumerate((*there.options, "--tls-replication", "yes"))
    ]
    config.write_text(
        f"port 0\ntls-port {port}\nbind 127.0.0.1\ndir {tmp_path}\n" + " ".join(words) + "\n"
        f"sentinel monitor kn 127.0.0.1 {there.tls_port} 1\n"
    )
    sentinel = subprocess.Popen(
        ["redis-server", str(config), "--sentinel", "--loglevel", "warning"],
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"rediss+sentinel://127.0.0.1:{port}/kn?{urlencode(there.files)}"
        assert until(lambda: _tried(url))
        with pytest.raises(StoreUnavailable):
            works(connect(url.replace("rediss+", "redis+").partition("?")[0]))
    finally:
        sentinel.kill()
        sentinel.wait(30)
        there.server.remove()


def _tried(url: str) -> bool:
    try:
        return works(connect(url))
    except StoreUnavailable:
        return False


def test_a_cluster(tmp_path: Path) -> None:
    there = Encrypted(
        tmp_path, "--cluster-enabled", "yes", "--tls-cluster", "yes", "--appendonly", "no"
    )
    try:
        there.plain().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        until(lambda: there.plain().cluster("info")["cluster_state"] == "ok")  # type: ignore[no-untyped-call]
        url = f"rediss+cluster://127.0.0.1:{there.tls_port}?{urlencode(there.files)}"
        assert until(lambda: _tried(url))
    finally:
        there.server.remove()


def test_a_password_in_a_file_changes_without_a_restart(
    encrypted: Encrypted, tmp_path: Path
) -> None:
    admin, file = encrypted.plain(), tmp_path / "password"
    file.write_text("first\n")
    admin.acl_setuser("rotated", enabled=True, passwords=["+first"], keys=["*"], commands=["+@all"])
    url = encrypted.url({**encrypted.files, "password_file": file})
    store = connect(url.replace("rediss://", "rediss://rotated@"))
    assert works(store)

    # Both count for a while; then the old one is taken away, and a new connection needs the new.
    admin.acl_setuser("rotated", enabled=True, passwords=["+second"])
    file.write_text("second\n")
    admin.acl_setuser("rotated", enabled=True, passwords=["-first"])
    assert works(store)
    admin.client_kill_filter(user="rotated")
    assert works(store)

    file.write_text("wrong\n")
    admin.client_kill_filter(user="rotated")
    with pytest.raises(StoreUnavailable, match="does not let us in"):
        works(store)
    file.unlink()
    with pytest.raises(StoreUnavailable, match=f"cannot be read from {file}"):
        works(store)
    file.write_text("second")
    assert works(store)
