"""Files that share a cluster are dealt out together, and it ends behind the last of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests import sharing
from tests.sharing import SHARED_BY, Shared, SharingTogether, end_unshared, unlisted

ROOT = Path(__file__).resolve().parents[2]
SHARING = "tests/integration/test_takeover.py"


def item(file: str, *fixtures: str) -> pytest.Item:
    return cast("pytest.Item", SimpleNamespace(nodeid=f"{file}::test_x", fixturenames=fixtures))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> tuple[Shared[str], list[str]]:
    """Something shared in the place of the clusters, and what was done to it."""
    monkeypatch.setattr(sharing, "_ALL", {})
    done: list[str] = []

    @contextmanager
    def start(folder: Path) -> Iterator[str]:
        done.append(f"start {folder.name}")
        yield "it"
        done.append("end")

    return Shared("shared_turn_cluster", start), done


def test_files_that_share_go_to_one_process_and_others_by_themselves() -> None:
    dealt = SharingTogether.__new__(SharingTogether)
    scopes = {
        file: dealt._split_scope(f"{file}::test_x[1]") for file in SHARED_BY["shared_cluster"]
    }

    assert set(scopes.values()) == {"shared_cluster"}
    assert dealt._split_scope("tests/unit/test_a.py::test_b") == "tests/unit/test_a.py"


def test_a_file_that_is_not_listed_is_named() -> None:
    listed, other = item(SHARING, "shared_turn_cluster"), item("tests/test_b.py", "shared_cluster")

    assert unlisted([listed, item("tests/test_c.py")]) == []
    assert unlisted([listed, other]) == [
        "tests/test_b.py asks for shared_cluster: add it to SHARED_BY, lest it be started once more"
    ]


@pytest.mark.parametrize("file", sorted(set().union(*SHARED_BY.values())))
def test_what_is_listed_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


def test_it_is_started_once_and_ends_behind_the_last_file(
    told: tuple[Shared[str], list[str]], tmp_path: Path
) -> None:
    shared, done = told

    assert [shared.get(tmp_path / "room"), shared.get(tmp_path / "room")] == ["it", "it"]
    end_unshared(item(SHARING))
    assert done == ["start room"]
    end_unshared(item("tests/unit/test_a.py"))
    end_unshared(None)
    assert done == ["start room", "end"]


def test_it_is_started_again_when_it_was_ended(
    told: tuple[Shared[str], list[str]], tmp_path: Path
) -> None:
    shared, done = told

    shared.get(tmp_path / "room")
    end_unshared(None)
    shared.get(tmp_path / "room")

    assert done == ["start room", "end", "start room"]


def test_what_did_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sharing, "_ALL", {})
    tries: list[Any] = []

    @contextmanager
    def start(_: Path) -> Iterator[str]:
        tries.append(None)
        if len(tries) == 1:
            raise OSError("no room")
        yield "it"

    shared = Shared("shared_cluster", start)
    with pytest.raises(OSError, match="no room"):
        shared.get(tmp_path / "room")

    assert shared.get(tmp_path / "room") == "it"
    end_unshared(None)
