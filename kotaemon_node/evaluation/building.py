"""Has a knowledge base built by the coordinator's own program, in a child process.

The library never imports the coordinator; it starts it, as ``kotaemon up`` does.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.signing import TrustedKeys, create_signing_key, public_key_of
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.evaluation.base import Built, Tell
from kotaemon_node.evaluation.errors import ExperimentError

_KEY: Final = "signing.pem"
_STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class CoordinatorBuild:
    """``base.Build`` by ``python -m coordinator.once``."""

    model: str
    backend: str
    models: Path
    threads: int

    def __call__(self, documents: Path, room: Path, tell: Tell) -> Built:
        """Build; raises ``ExperimentError`` with what the child said."""
        room.mkdir(parents=True, exist_ok=True)
        key = room / _KEY
        if not key.exists():
            create_signing_key(key)
        made = self._made(documents, room / "artifacts", key, tell)
        ref = GenerationRef(made["kb"], made["generation"], made["digest"], made["manifest"])
        failed = tuple((document, reason) for document, reason in made["failed"])
        trusted = TrustedKeys([public_key_of(key)])
        return Built(ref, made["passages"], failed, room / "artifacts", trusted)

    def _made(self, documents: Path, artifacts: Path, key: Path, tell: Tell) -> Mapping[str, Any]:
        command = [sys.executable, "-m", "coordinator.once"]
        for name, value in (
            ("documents", documents.absolute()),
            ("artifacts", artifacts.absolute()),
            ("signing-key", key.absolute()),
            ("models", self.models.absolute()),
            ("model", self.model),
            ("backend", self.backend),
            ("threads", self.threads),
        ):
            command.append(f"--{name}={value}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            try:
                return _heard(child, tell)
            except BaseException:
                child.terminate()
                child.wait(_STOP_S)
                raise


def _heard(child: "subprocess.Popen[str]", tell: Tell) -> Mapping[str, Any]:
    """Tell on what the child says, and return what it made."""
    assert child.stdout is not None
    made: Mapping[str, Any] | None = None
    for line in child.stdout:
        said = json.loads(line)
        if "doing" in said:
            tell(said["doing"], said["done"], said["of"])
        elif "problem" in said:
            raise ExperimentError(f"The knowledge base cannot be built: {said['problem']}")
        made = said.get("made", made)
    if child.wait() or made is None:
        raise ExperimentError(f"Building the knowledge base ended with status {child.returncode}.")
    return made
