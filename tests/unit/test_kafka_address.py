"""What the settings say of a Kafka cluster, as kafka-python's options."""

from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from kotaemon_node.adapters.kafka import KafkaAddress
from kotaemon_node.settings import Settings


def address(monkeypatch: pytest.MonkeyPatch, **variables: str) -> KafkaAddress:
    for name in [name for name in Settings.model_fields if name.startswith("kafka_")]:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return KafkaAddress.of(Settings())


def test_servers_alone_are_spoken_to_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    options = address(monkeypatch, KAFKA_BOOTSTRAP_SERVERS="a:9092, b:9093,").options()

    assert options["bootstrap_servers"] == ["a:9092", "b:9093"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not [name for name in options if name.startswith(("sasl", "ssl"))]


def test_tls_and_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    options = address(
        monkeypatch,
        KAFKA_BOOTSTRAP_SERVERS="a:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA_USERNAME="shop",
        KAFKA_PASSWORD="secret",
        KAFKA_CA_FILE="/etc/ca.pem",
    ).options()

    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("shop", "secret")
    assert Path(options["ssl_cafile"]) == Path("/etc/ca.pem")


def test_a_certificate_of_ours_and_a_password_that_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    found = address(
        monkeypatch,
        KAFKA_BOOTSTRAP_SERVERS="a:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_USERNAME="shop",
        KAFKA_PASSWORD_FILE=str(file),
        KAFKA_CERT_FILE="/etc/own.pem",
        KAFKA_KEY_FILE="/etc/own-key.pem",
    )

    assert found.options()["sasl_plain_password"] == "first"
    assert found.options()["ssl_certfile"] == "/etc/own.pem"
    assert found.options()["ssl_keyfile"] == "/etc/own-key.pem"
    file.write_text("second\n")
    assert found.options()["sasl_plain_password"] == "second"


def test_tls_without_a_password_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    options = address(
        monkeypatch, KAFKA_BOOTSTRAP_SERVERS="a:9092", KAFKA_SECURITY_PROTOCOL="SSL"
    ).options()

    assert options["security_protocol"] == "SSL"
    assert not [name for name in options if name.startswith(("sasl", "ssl"))]


@pytest.mark.parametrize("client", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_every_client_knows_every_option(
    monkeypatch: pytest.MonkeyPatch, client: type[KafkaProducer]
) -> None:
    options = address(
        monkeypatch,
        KAFKA_BOOTSTRAP_SERVERS="a:9092",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_USERNAME="shop",
        KAFKA_CA_FILE="/etc/ca.pem",
    ).options()

    assert set(options) <= set(client.DEFAULT_CONFIG)


@pytest.mark.parametrize("servers", ["a", "a:", ":9092", "a:port", "a:0", "a:70000", " , "])
def test_servers_that_name_no_place_are_refused(
    monkeypatch: pytest.MonkeyPatch, servers: str
) -> None:
    with pytest.raises(ValueError, match="KAFKA_BOOTSTRAP_SERVERS"):
        address(monkeypatch, KAFKA_BOOTSTRAP_SERVERS=servers)


def test_a_password_protocol_without_a_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="KAFKA_USERNAME"):
        address(
            monkeypatch,
            KAFKA_BOOTSTRAP_SERVERS="a:9092",
            KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        )
