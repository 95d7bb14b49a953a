"""Goes through the knowledge folder: which files lie where, and which are not ours.

All of it, or only to those paths that somebody says have changed: of fifty thousand files each look
at all takes half a second.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kotaemon_node.domain.document_names import (
    TENANTS_FOLDER,
    bad_characters,
    bad_knowledge_base,
    temporary,
)

# Device, inode, size, times of change in ns: equal means that nothing was written.
Signature = tuple[int, int, int, int, int]


class FolderMissing(Exception):
    """The knowledge folder is not there; nothing may be concluded about its files."""


@dataclass(slots=True)
class Walk:
    """What was met in the folder."""

    found: dict[str, Signature] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    """Those that were entered, "" for the folder itself, the others with "/" behind them."""


class FolderWalk:
    """Goes through the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def whole(self) -> Walk:
        """Look at everything. Raises ``FolderMissing``."""
        walk = Walk()
        if not self._root.is_dir():
            raise FolderMissing(f"the knowledge folder {self._root} is not there")
        self._enter(walk, [""])
        return walk

    def again(self, walk: Walk, paths: Collection[str]) -> bool:
        """Look at ``paths`` and what is below them, and correct ``walk``.

        False where they do not tell enough; ``walk`` is of no use then. Raises ``FolderMissing``.
        """
        if not self._root.is_dir():
            raise FolderMissing(f"the knowledge folder {self._root} is not there")
        names: dict[str, set[str]] = {}
        for path in paths:
            if any(map(temporary, path.split("/"))):
                continue
            above, slash, name = path.rpartition("/")
            names.setdefault(above + slash, set()).add(name)
        # What cannot be seen into, or was not met before, is left to a look at everything.
        if walk.unreadable or not walk.folders.issuperset(names):
            return False
        for prefix, changed in names.items():
            for name in changed:
                _forget(walk, prefix + name)
            try:
                with os.scandir(f"{self._root}/{prefix}") as listed:
                    entries = [entry for entry in listed if entry.name in changed]
            except OSError:
                return False
            self._enter(walk, list(self._sort_out(walk, prefix, entries)))
        return True

    def _enter(self, walk: Walk, folders: list[str]) -> None:
        while folders:
            prefix = folders.pop()
            try:
                entries = sorted(os.scandir(f"{self._root}/{prefix}"), key=lambda entry: entry.name)
            except OSError as error:
                if not prefix:
                    raise FolderMissing(f"{self._root} cannot be read: {error.strerror}") from error
                # What was below it is not deleted: we only can't see it.
                walk.ignored[prefix[:-1]] = f"the folder cannot be read: {error.strerror}"
                walk.unreadable.append(prefix)
                continue
            walk.folders.add(prefix)
            folders.extend(self._sort_out(walk, prefix, entries))

    def _sort_out(
        self, walk: Walk, prefix: str, entries: list["os.DirEntry[str]"]
    ) -> Iterator[str]:
        """Note each file of a folder as found or ignored; yield the folders to enter.

        Plain strings, no ``Path``: of ten thousand files each scan looks at every one.
        """
        for entry in entries:
            if temporary(entry.name):
                continue
            document = prefix + entry.name
            if problem := self._foreign(entry, document):
                walk.ignored[_shown(document)] = problem
            elif entry.is_dir(follow_symlinks=False):
                yield f"{document}/"
            else:
                try:
                    walk.found[document] = signature_of(entry.stat())
                except OSError:
                    # It went away since the folder was listed, or is a link to nothing.
                    continue

    def _foreign(self, entry: "os.DirEntry[str]", document: str) -> str | None:
        """Return why an entry belongs to no knowledge base, or None when it belongs to one."""
        if problem := bad_characters(entry.name):  # those above were looked at before
            return problem
        if entry.is_symlink():
            return self._bad_link(Path(entry.path))
        if entry.is_dir(follow_symlinks=False):
            return bad_knowledge_base(document) if "/" not in document else None
        return None if entry.is_file(follow_symlinks=False) else "it is not a regular file"

    def _bad_link(self, path: Path) -> str | None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return "it is a link to nothing"
        if not inside(self._root, target):
            return "it is a link that leaves the knowledge folder"
        return None if target.is_file() else "it is a link to a folder"


def inside(root: Path, target: Path) -> bool:
    """Tell whether a resolved path lies in the folder ``root``, and not with another tenant."""
    root = root.resolve()
    return target.is_relative_to(root) and not target.is_relative_to(root / TENANTS_FOLDER)


def signature_of(status: os.stat_result) -> Signature:
    """Return by what a changed file is known."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _forget(walk: Walk, path: str) -> None:
    """Take out what was met at ``path``, and below it where that was a folder."""
    walk.found.pop(path, None)
    walk.ignored.pop(_shown(path), None)
    below = f"{path}/"
    if below not in walk.folders:
        return
    for document in [it for it in walk.found if it.startswith(below)]:
        del walk.found[document]
    for shown in [it for it in walk.ignored if it.startswith(_shown(below))]:
        del walk.ignored[shown]
    walk.folders -= {it for it in walk.folders if it.startswith(below)}


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
