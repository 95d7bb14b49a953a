"""What the gate holds, noted in the artifact store: the next leader need not build it again."""

import hashlib
import json
from collections.abc import Mapping

import structlog

from coordinator.folder import FileState
from coordinator.gate import Verdict
from coordinator.plan import revision_in_folder
from coordinator.probes import ProbeSet
from kotaemon_node.domain.artifact_names import held_prefix
from kotaemon_node.domain.held import HeldBuild
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.ports.artifacts import ArtifactStore

_log = structlog.get_logger(__name__)


def state_key(newest: Manifest | None, files: Mapping[str, FileState], probes: ProbeSet) -> str:
    """Return the digest of what a build and its verdict follow from."""
    told = {
        "newest": newest.digest if newest is not None else None,
        "files": {document: revision_in_folder(state) for document, state in files.items()},
        "probes": probes.digest,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def held_build(key: str, served: Manifest, verdict: Verdict, *, at: str) -> HeldBuild:
    """Return the note about a build that the gate judged worse."""
    return HeldBuild(
        key=key,
        kb=served.kb,
        generation=served.generation,
        at=at,
        reason=verdict.reason or "",
        recall=verdict.recall,
        recall_before=verdict.recall_before,
        lost=verdict.lost,
        unanswerable=verdict.unanswerable,
    )


class HeldNotes:
    """At most one note for each knowledge base. Written by the leader alone."""

    def __init__(self, store: ArtifactStore, *, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def read(self, kb: str) -> HeldBuild | None:
        """Return the note; an unreadable one is none: what it is about is judged once more."""
        for name in self._store.list(held_prefix(self._tenant, kb)):
            raw = self._store.get(name)
            try:
                if raw is not None:
                    return HeldBuild.from_json(raw)
            except (ValueError, LookupError, TypeError) as error:
                _log.warning("held_note_unreadable", name=name, error=repr(error))
        return None

    def write(self, kb: str, held: HeldBuild | None) -> None:
        """Make ``held`` the only note; None removes it."""
        prefix = held_prefix(self._tenant, kb)
        name = f"{prefix}{held.key}.json" if held is not None else None
        if held is not None and name is not None:
            self._store.put_if_absent(name, held.to_json())
        for other in list(self._store.list(prefix)):
            if other != name:
                self._store.delete(other)
