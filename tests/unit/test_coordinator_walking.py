"""A folder of which only what changed is looked at shows the same as one that is gone through."""

import os
import random
import shutil
from pathlib import Path

import pytest

from coordinator.folder import KnowledgeFolder
from coordinator.walking import FolderMissing, FolderWalk
from kotaemon_node.domain import limits
from tests.fakes.knowledge_ports import HandClock

NAMES = ("a.md", "b.md", ".hidden", "c.tmp", "bad\u200bname.md")
FOLDERS = ("", "shop", "shop/deep", "other", ".git", "bad\u200bfolder")


def changed_by_chance(root: Path, chance: random.Random) -> list[str]:
    """Do one thing to the folder; return the paths that a notification would tell."""
    folder = chance.choice(FOLDERS)
    path = root / folder / chance.choice(NAMES)
    at = path.relative_to(root).as_posix()
    what = chance.randrange(5)
    if what == 0 and path.is_file():
        path.unlink()
    elif what == 1 and folder and (root / folder).exists():
        shutil.rmtree(root / folder)
        return [folder]
    elif what == 2 and folder and (root / folder).exists():
        target = root / chance.choice(("moved", "shop/moved", "other/moved"))
        if target.exists() or (root / folder) in (target, *target.parents):
            return []
        new = [it for it in (target, *target.parents) if not it.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / folder).rename(target)
        return [folder, *(it.relative_to(root).as_posix() for it in new)]
    elif what == 3 and path.parent.exists() and not os.path.lexists(path):
        path.symlink_to(root / chance.choice(("a.md", "shop", "nowhere")))
    elif path.is_dir() or path.is_symlink():
        return []
    else:
        made = [it for it in path.parents if not it.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(chance.random()))
        return [at, *(it.relative_to(root).as_posix() for it in made)]
    return [at]


@pytest.mark.parametrize("seed", range(20))
def test_looking_at_what_changed_shows_what_going_through_all_shows(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    walker = FolderWalk(tmp_path)
    walk = walker.whole()
    partly = 0
    for _ in range(60):
        told = [
            at for _ in range(chance.randrange(3)) for at in changed_by_chance(tmp_path, chance)
        ]
        if walker.again(walk, told):
            partly += 1
        else:
            walk = walker.whole()
        whole = walker.whole()
        # What a link leads to is noticed by its own time, not by a change of the link.
        links = {at for at in {*walk.found, *whole.found} if os.path.islink(tmp_path / at)}
        assert {at: sign for at, sign in walk.found.items() if at not in links} == {
            at: sign for at, sign in whole.found.items() if at not in links
        }
        assert walk.folders == whole.folders
    assert partly > 20


def test_a_hint_is_followed_at_once_and_the_rest_is_found_by_the_next_look_at_all(
    tmp_path: Path,
) -> None:
    clock = HandClock()
    folder = KnowledgeFolder(tmp_path, clock=clock)
    (tmp_path / "old.md").write_text("old")
    folder.scan()
    folder.hint(["told.md"])
    (tmp_path / "told.md").write_text("told")
    (tmp_path / "untold.md").write_text("untold")
    assert folder.scan().pending == {"old.md", "told.md"}
    clock.sleep(limits.FILE_STABLE_S)
    assert folder.scan().files["default"].keys() == {"old.md", "told.md"}
    clock.sleep(limits.FOLDER_SCAN_S)
    assert folder.scan().pending == {"untold.md"}


def test_a_file_that_goes_on_changing_is_looked_at_without_another_hint(tmp_path: Path) -> None:
    clock = HandClock()
    folder = KnowledgeFolder(tmp_path, clock=clock)
    folder.scan()
    folder.hint(["a.md"])
    (tmp_path / "a.md").write_text("one")
    assert folder.scan().pending == {"a.md"}
    (tmp_path / "a.md").write_text("one two")
    clock.sleep(limits.FILE_STABLE_S)
    assert folder.scan().pending == {"a.md"}
    clock.sleep(limits.FILE_STABLE_S)
    assert folder.scan().files["default"]["a.md"].size_bytes == len("one two")


def test_a_folder_that_is_gone_is_missing_however_it_is_looked_at(tmp_path: Path) -> None:
    root = tmp_path / "knowledge"
    root.mkdir()
    folder = KnowledgeFolder(root, clock=HandClock())
    folder.scan()
    folder.hint(["a.md"])
    root.rmdir()
    with pytest.raises(FolderMissing):
        folder.scan()
