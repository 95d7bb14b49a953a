"""What ``REDIS_URL`` may say, and what is wrong with what it may not."""

import pytest

from kotaemon_node.adapters.redis.address import StoreAddress
from kotaemon_node.adapters.redis.connection import connect


def test_one_redis_is_left_to_its_client() -> None:
    for url in ("redis://127.0.0.1:6379/0", "rediss://:secret@redis.example/2?ssl_cert_reqs=none"):
        assert StoreAddress.of(url) == StoreAddress("single", url, tls=url.startswith("rediss"))


def test_a_password_in_a_file_is_left_out_of_what_its_client_reads() -> None:
    address = StoreAddress.of("rediss://ann@host:1/2?ssl_ca_certs=/ca.pem&password_file=/run/pw")
    assert address.url == "rediss://host:1/2?ssl_ca_certs=%2Fca.pem"
    assert (address.password_file, address.credentials) == ("/run/pw", {"username": "ann"})


def test_both_other_forms_know_tls_and_files() -> None:
    options = "ssl_ca_certs=/ca&ssl_certfile=/c&ssl_keyfile=/k&password_file=/p"
    files = {"ssl_ca_certs": "/ca", "ssl_certfile": "/c", "ssl_keyfile": "/k"}
    cluster = StoreAddress.of(f"rediss+cluster://a:1?{options}")
    sentinel = StoreAddress.of(f"rediss+sentinel://a:1/kn?{options}&sentinel_password_file=/s")
    for address in (cluster, sentinel):
        assert (address.tls, address.files, address.password_file) == (True, files, "/p")
    assert sentinel.sentinel_password_file == "/s"


def test_sentinels_a_service_and_who_asks() -> None:
    address = StoreAddress.of(
        "redis+sentinel://ann:p%40ss@10.0.0.1:5000,[::1]:5001,name/kn?db=3&sentinel_password=s"
    )
    assert address.kind == "sentinel"
    assert address.hosts == (("10.0.0.1", 5000), ("::1", 5001), ("name", 26379))
    assert (address.service, address.db, address.sentinel_password) == ("kn", 3, "s")
    assert address.credentials == {"username": "ann", "password": "p@ss"}


def test_a_cluster_and_its_first_nodes() -> None:
    address = StoreAddress.of("redis+cluster://a:7000,b,[fe80::1]/")
    assert address.kind == "cluster"
    assert address.hosts == (("a", 7000), ("b", 6379), ("fe80::1", 6379))
    assert address.credentials == {}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begins with none of"),
        ("127.0.0.1:6379", "begins with none of"),
        ("http://host:1", "begins with none of"),
        ("redis+sentinel://a:1", "names one service"),
        ("redis+sentinel://a:1/", "names one service"),
        ("redis+sentinel://a:1/x/y", "names one service"),
        ("redis+sentinel://a:1,/kn", "a host is missing"),
        ("redis+sentinel://:secret@/kn", "a host is missing"),
        ("redis+sentinel://a:one/kn", "the port of a is no number"),
        ("redis+sentinel://a:1/kn?db=x", "db is no number"),
        ("redis+sentinel://a:1/kn?d=1", "takes no option 'd'"),
        ("redis+cluster://a:1/1", "no database but 0"),
        ("redis+cluster://a:1?db=1", "takes no option 'db'"),
        ("redis+cluster://", "a host is missing"),
        ("redis+cluster://a:1?ssl_ca_certs=/ca", r"begin the URL with rediss\+cluster"),
        ("redis://a:1/0?ssl_ca_certs=/ca", "begin the URL with rediss"),
        ("rediss://a:1/0?ssl_keyfile=/k", "give ssl_certfile"),
    ],
)
def test_what_is_malformed_is_told_by_its_name_and_no_secret(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"REDIS_URL: .*{reason}") as refusal:
        connect(url)
    assert "secret" not in str(refusal.value)
