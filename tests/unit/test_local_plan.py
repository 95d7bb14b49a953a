"""Where a start looks for things: what it was asked for, the environment, then our defaults."""

from pathlib import Path

import pytest

from kotaemon_node.local import places
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.local.plan import Plan, Wishes, make_plan
from kotaemon_node.settings import Settings

DATA = DataFolder(Path("/data"))
NAMES = ("REDIS_URL", "ARTIFACT_URL", "KNOWLEDGE_DIR", "MODEL_DIR", "ENCODER_MODEL", "PLUGINS_DIR")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def _plan(knowledge: Path | None = None, *, plugins: Path | None = None) -> Plan:
    wishes = Wishes(
        folder=DATA,
        workers=3,
        port=8080,
        host="127.0.0.1",
        knowledge=knowledge,
        detach=True,
        plugins=plugins,
    )
    return make_plan(wishes, Settings())


def test_without_any_wish_everything_is_the_clusters_own() -> None:
    plan = _plan()

    assert plan.redis_url == ""
    assert plan.artifact_url == "file:///data/artifacts"
    assert plan.knowledge == DATA.knowledge
    assert plan.plugins == DATA.plugins
    assert plan.models == places.models_folder()


def test_the_environment_goes_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://db:6379/3")
    monkeypatch.setenv("ARTIFACT_URL", "file:///shared")
    monkeypatch.setenv("KNOWLEDGE_DIR", "/docs")
    monkeypatch.setenv("MODEL_DIR", "/weights")

    plan = _plan()

    assert (plan.redis_url, plan.artifact_url) == ("redis://db:6379/3", "file:///shared")
    assert (plan.knowledge, plan.models) == (Path("/docs"), Path("/weights"))


def test_a_wish_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWLEDGE_DIR", "/docs")

    monkeypatch.setenv("PLUGINS_DIR", "/code")

    assert _plan(Path("/wished")).knowledge == Path("/wished")
    assert _plan().plugins == Path("/code")
    assert _plan(plugins=Path("/wished")).plugins == Path("/wished")


def test_an_empty_variable_is_no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")

    assert _plan().redis_url == ""


def test_an_installed_program_without_samples_watches_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/.cache")

    plan = _plan()

    assert plan.knowledge == Path("/data/knowledge")
    assert plan.models == Path("/home/me/.cache/kotaemon/models")


def test_a_clusters_own_knowledge_begins_with_a_copy_of_the_samples(tmp_path: Path) -> None:
    own = tmp_path / "knowledge"
    places.begin_knowledge(own)
    sample = places.sample_knowledge()
    assert sample is not None
    names = sorted(path.name for path in sample.iterdir())
    assert sorted(path.name for path in own.iterdir()) == names != []

    # What a user did to it stays.
    for path in own.rglob("*.md"):
        path.unlink()
    places.begin_knowledge(own)
    assert not list(own.rglob("*.md"))
    assert list(sample.rglob("*.md"))


def test_without_samples_it_begins_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "checkout", lambda: None)
    places.begin_knowledge(tmp_path / "knowledge")
    assert list((tmp_path / "knowledge").iterdir()) == []
