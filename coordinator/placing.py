"""Puts an uploaded file into the knowledge folder: whole or not at all, whoever dies meanwhile."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

from kotaemon_node.domain.document_names import temporary


def place(root: Path, document: str, source: Path) -> None:
    """Make a copy of ``source`` the file of ``document`` below ``root``. Raises ``OSError``.

    It is written under a name that a scan ignores, the same for each try, so that what a dead
    leader left is overwritten by the next one.
    """
    folder = _folder(root, document)
    target = root / document
    if target.is_dir():
        raise OSError(errno.EISDIR, "a folder has this name", document)
    aside = folder / f".kotaemon-{hashlib.sha256(document.encode()).hexdigest()[:32]}"
    try:
        with source.open("rb") as whole, aside.open("wb") as copy:
            shutil.copyfileobj(whole, copy, 1024 * 1024)
            copy.flush()
            os.fsync(copy.fileno())
        aside.replace(target)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    _flush(folder)


def _folder(root: Path, document: str) -> Path:
    """Return the folder of ``document``, made when it is missing; no step of it is a link."""
    steps = Path(document).parts
    if any(step == ".." or temporary(step) for step in steps):
        raise OSError(errno.EINVAL, "files of this name are not followed", document)
    if not root.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the knowledge folder is not there")
    folder = root
    for step in steps[:-1]:
        above, folder = folder, folder / step
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "a folder of its path is a link, which is not followed")
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            _flush(above)
    return folder


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
