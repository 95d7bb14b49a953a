"""Settings: what the environment may say, and that the reference tells all of it."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from coordinator.settings import CoordinatorSettings
from kotaemon_node.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.+?) \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    return {name: default.strip("`").replace("empty", "") for name, default in rows}


def test_the_reference_lists_every_setting_with_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*documented(), "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = CoordinatorSettings()
    defaults = {
        name.upper(): "" if value is None else str(value)
        for name, value in settings.model_dump().items()
    }
    assert documented() == defaults


def test_what_is_told_of_a_wrong_setting_shows_no_other_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:canary@host:6379/0")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://user:canary@host")
    with pytest.raises(ValidationError, match="both set") as told:
        Settings()
    assert "canary" not in str(told.value)
    monkeypatch.setenv("SESSION_TTL_S", "canary")
    with pytest.raises(ValidationError, match="session_ttl_s") as told:
        CoordinatorSettings()
    assert "canary" not in str(told.value)


def test_openais_own_names_are_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert Settings().llm_base_url == "http://127.0.0.1:1/v1"
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:2/v1")
    assert Settings().llm_base_url == "http://127.0.0.1:2/v1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("SESSION_TTL_S", "5"), ("LLM_CONTINUE", "maybe"), ("NATIVE_THREADS", "0")],
)
def test_a_wrong_value_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer my-secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=a%0Ab"),
        ("OTEL_TRACES_SAMPLE_RATIO", "1.5"),
    ],
)
def test_wrong_settings_of_traces_are_refused_without_telling_a_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=f"(?i){name}") as refused:
        Settings()
    assert all("my-secret" not in problem["msg"] for problem in refused.value.errors())


def test_headers_for_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a%3D, x-team=shop,")
    assert Settings().otel_headers == {"authorization": "Bearer a=", "x-team": "shop"}


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError):
        Settings().pod_name = "another"  # type: ignore[misc]


def test_a_turn_reserves_something_where_tokens_are_limited() -> None:
    with pytest.raises(ValidationError, match="limit_turn_tokens"):
        Settings(limit_turn_tokens=0)
