"""What the settings say of a RabbitMQ server, as py-amqp's options."""

import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from kotaemon_node.adapters.rabbitmq import RabbitmqAddress
from kotaemon_node.settings import Settings

NAMES = ("RABBITMQ_URL", "RABBITMQ_CA_FILE", "KAFKA_BOOTSTRAP_SERVERS", "TURN_LOG")


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def address(monkeypatch: pytest.MonkeyPatch, url: str) -> RabbitmqAddress:
    return RabbitmqAddress.of(settings(monkeypatch, RABBITMQ_URL=url))


def test_a_host_alone_has_the_usual_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    found = address(monkeypatch, "amqp://rabbit")
    assert found == RabbitmqAddress("rabbit", 5672, "guest", "guest", "/")
    assert found.options()["host"] == "rabbit:5672"
    assert "ssl" not in found.options()


def test_every_part_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = address(monkeypatch, "amqp://shop%40home:p%2Fw@[::1]:5673/of%2Fours")
    assert found == RabbitmqAddress("::1", 5673, "shop@home", "p/w", "of/ours")
    assert found.options()["host"] == "[::1]:5673"
    assert "p/w" not in repr(found)


def test_over_tls_the_server_must_be_who_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    found = RabbitmqAddress.of(
        settings(monkeypatch, RABBITMQ_URL="amqps://rabbit/x", RABBITMQ_CA_FILE="/etc/ca.pem")
    )
    assert found.port == 5671
    assert found.options()["ssl"] == {
        "server_hostname": "rabbit",
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": "/etc/ca.pem",
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
    }


def test_a_certificate_of_ours_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"RABBITMQ_CERT_FILE": "/etc/own.pem", "RABBITMQ_KEY_FILE": "/etc/own-key.pem"}
    shown = RabbitmqAddress.of(settings(monkeypatch, RABBITMQ_URL="amqps://rabbit", **names))
    told = shown.options()["ssl"]
    assert (told["certfile"], told["keyfile"]) == ("/etc/own.pem", "/etc/own-key.pem")


def test_a_password_in_a_file_is_read_for_each_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    told = settings(
        monkeypatch, RABBITMQ_URL="amqp://shop@rabbit", RABBITMQ_PASSWORD_FILE=str(file)
    )
    found = RabbitmqAddress.of(told)
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        options = found.options()
        assert (options["userid"], options["password"]) == ("shop", password)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        found.options()


@pytest.mark.parametrize(
    "url",
    [
        *("rabbit", "http://rabbit", "amqp://", "amqp://h:port", "amqp://h:0", "amqp://h/a/b"),
        "amqp://user:secret@h/?x=1",
    ],
)
def test_an_address_of_another_kind_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ValueError, match="RABBITMQ_URL is not") as refused:
        address(monkeypatch, url)
    assert "secret" not in str(refused.value)


def test_two_buses_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="set one of them"):
        settings(monkeypatch, RABBITMQ_URL="amqp://h", KAFKA_BOOTSTRAP_SERVERS="h:9092")


@pytest.mark.parametrize(
    ("variables", "logged"),
    [
        ({}, False),
        ({"KAFKA_BOOTSTRAP_SERVERS": "h:9092"}, True),
        ({"KAFKA_BOOTSTRAP_SERVERS": "h:9092", "TURN_LOG": "off"}, False),
        ({"RABBITMQ_URL": "amqp://h"}, False),
        ({"TURN_LOG": "on"}, True),
    ],
)
def test_turns_are_logged_where_the_bus_keeps_them_or_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], logged: bool
) -> None:
    assert settings(monkeypatch, **variables).turns_are_logged is logged
