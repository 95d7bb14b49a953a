"""Which settings keep answers of two pods apart, and which do not."""

from pathlib import Path

import pytest

from kotaemon_node.composition.remembered import programs_digest, remembering_of, settings_version
from kotaemon_node.ports.cipher import NoCipher
from kotaemon_node.settings import Settings


def test_pods_of_one_cluster_share_their_answers() -> None:
    one = Settings(pod_name="worker-0", pod_address="10.0.0.1:8000", upload_dir=Path("/tmp/0"))
    other = Settings(pod_name="worker-1", pod_address="10.0.0.2:8000", upload_dir=Path("/tmp/1"))

    assert programs_digest(one) == programs_digest(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"llm_model": "larger"},
        {"llm_base_url": "http://127.0.0.1:1/v1"},
        {"encoder_model": "another"},
    ],
)
def test_pods_that_answer_otherwise_do_not(changed: dict[str, str]) -> None:
    assert programs_digest(Settings()) != programs_digest(Settings.model_validate(changed))


def test_what_stands_in_a_file_of_settings_counts(tmp_path: Path) -> None:
    tools = tmp_path / "tools.yaml"
    tools.write_text("tools: []")
    before = programs_digest(Settings(tools_file=tools))

    tools.write_text("tools: [one]")

    assert programs_digest(Settings(tools_file=tools)) != before


def test_no_secret_takes_part() -> None:
    words = ("key", "password", "token", "secret")
    secrets = [name for name in Settings.model_fields if name.endswith(words)]

    assert len(secrets) > 5
    for name in secrets:
        assert programs_digest(Settings.model_construct(**{name: "x" * 40})) == programs_digest(
            Settings.model_construct()
        ), name


def test_turned_off_nothing_is_looked_for() -> None:
    nothing = remembering_of(
        Settings(answer_cache_ttl_s=0),
        cipher=NoCipher(),
        frames=None,  # type: ignore[arg-type]
        clock=None,  # type: ignore[arg-type]
        tasks=None,  # type: ignore[arg-type]
        metrics=None,  # type: ignore[arg-type]
    )

    assert nothing is None


def test_pods_tell_whether_they_have_the_same_settings() -> None:
    one, other = Settings(pod_name="worker-0"), Settings(pod_name="worker-1", llm_api_key="x" * 20)

    assert settings_version(one) == settings_version(other)
    assert settings_version(Settings(llm_model="larger")) != settings_version(one)
