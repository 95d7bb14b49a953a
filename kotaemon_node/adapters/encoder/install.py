"""Fetches model files once, checked by checksum; afterwards nothing needs a network."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.encoder.catalogue import Model, ModelFile, known_model
from kotaemon_node.adapters.encoder.checksum import sha256_of
from kotaemon_node.adapters.encoder.errors import InstallFailed
from kotaemon_node.adapters.encoder.sources import HubSource, MavenSource, Source

_PARTIAL_PREFIX: Final = ".partial-"
_LOCK_NAME: Final = ".install.lock"


class Phase(Enum):
    """What the installer is doing with one model."""

    PRESENT = "present"
    """Its files are there and verified: nothing to do."""
    FETCHING = "fetching"
    """Comes again about each second while a source is at work."""
    SOURCE_FAILED = "source failed"
    """``note`` is the reason; the next source is asked, where there is one."""
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step, for a person to read: model ``number`` of ``models``, counted from 1."""

    model: str
    number: int
    models: int
    phase: Phase
    size_bytes: int
    source: str = ""
    note: str = ""


def install_models(
    names: Sequence[str],
    folder: Path,
    progress: Callable[[Progress], None],
    *,
    sources: Sequence[Source] | None = None,
    find: Callable[[str], Model] = known_model,
) -> None:
    """Make ``folder/<model>/`` hold the verified files of each named model.

    ``sources`` are asked in order; by default the Maven artifact where ``mvn`` is installed, then
    the model hub. Files are put in place one by one by rename, after their checksum was verified;
    those that are there already are not fetched again. Several installers may run at once: one
    works, the others wait for it. ``find`` looks a name up.

    Raises ``UnknownModel``, or ``InstallFailed`` when no source gave the pinned files; models
    before the failing one stay installed. ``OSError`` when the folder cannot be written.
    """
    models = [find(name) for name in names]
    asked = (MavenSource(), HubSource()) if sources is None else tuple(sources)
    folder = folder.resolve()  # sources work in other folders
    folder.mkdir(parents=True, exist_ok=True)
    with _only_installer(folder):
        _remove_leftovers(folder)
        for number, model in enumerate(models, start=1):
            report = _Report(progress, model=model, number=number, models=len(models))
            _install(model, folder=folder, sources=asked, report=report)


def missing_models(names: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the models of which ``folder`` lacks a file, by presence and size alone (fast)."""
    models = [known_model(name) for name in names]
    return tuple(
        model.name
        for model in models
        if not all(_has_size(folder / model.name / file.name, file) for file in model.files)
    )


class _Report:
    """Turns phases of one model into ``Progress``."""

    def __init__(
        self, progress: Callable[[Progress], None], *, model: Model, number: int, models: int
    ) -> None:
        self._progress = progress
        self._model = model
        self._number = number
        self._models = models

    def __call__(self, phase: Phase, *, source: str = "", note: str = "") -> None:
        self._progress(
            Progress(
                model=self._model.name,
                number=self._number,
                models=self._models,
                phase=phase,
                size_bytes=sum(file.size_bytes for file in self._model.files),
                source=source,
                note=note,
            )
        )


def _install(model: Model, *, folder: Path, sources: Sequence[Source], report: _Report) -> None:
    target = folder / model.name
    if all(_verified(target / file.name, file) for file in model.files):
        report(Phase.PRESENT)
        return
    failures = []
    for source in sources:
        if not source.offers(model):
            continue
        report(Phase.FETCHING, source=source.label)
        try:
            _install_from(source, model, target=target, report=report)
        except InstallFailed as failure:
            failures.append(f"{source.label}: {failure}")
            report(Phase.SOURCE_FAILED, source=source.label, note=str(failure))
        else:
            report(Phase.INSTALLED, source=source.label)
            return
    raise InstallFailed(_advice(model, target=target, failures=failures))


def _install_from(source: Source, model: Model, *, target: Path, report: _Report) -> None:
    # Beside the target, so that the rename stays inside one file system.
    with tempfile.TemporaryDirectory(prefix=_PARTIAL_PREFIX, dir=target.parent) as partial:
        fetched = source.fetch(
            model, Path(partial), lambda: report(Phase.FETCHING, source=source.label)
        )
        for file in model.files:
            if not _verified(fetched[file.name], file):
                raise InstallFailed(f"its {file.name} is not the file that the catalogue pins")
        target.mkdir(exist_ok=True)
        for file in model.files:
            fetched[file.name].replace(target / file.name)


def _advice(model: Model, *, target: Path, failures: Sequence[str]) -> str:
    files = " and ".join(file.name for file in model.files)
    maven = ", or install Maven (Debian: apt install maven)" if not shutil.which("mvn") else ""
    return (
        f"The encoder model {model.name} could not be fetched ({'; '.join(failures) or 'no source'}"
        f"): give this machine access to the model hub{maven}, or copy {files} into {target}."
    )


def _verified(path: Path, file: ModelFile) -> bool:
    return _has_size(path, file) and sha256_of(path) == file.sha256


def _has_size(path: Path, file: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size_bytes


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed installer left. We hold the lock, so nobody works in there."""
    for partial in folder.glob(f"{_PARTIAL_PREFIX}*"):
        shutil.rmtree(partial)


@contextmanager
def _only_installer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel gives it back when we die, however we die."""
    lock = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
