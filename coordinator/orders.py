"""What the leader does for an order: publish, roll back, delete, purge.

Each handler returns the generation that the order made. It may be called again for the same order
(a leader died, a store was away): a generation that names the job is found, not made again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from coordinator.build import Builder
from coordinator.catalog import Catalog, Newest
from coordinator.folder import KnowledgeFolder, Scan
from coordinator.merges import Merges
from coordinator.plan import revision_in_folder
from coordinator.publish import Publisher
from coordinator.purge import Purge
from coordinator.update import Leading, Updater, Wish
from coordinator.vectors import VectorKeeper
from kotaemon_node.domain.document_names import knowledge_base_of
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.domain.lineage import (
    PROBES,
    ROLLED_BACK_TO,
    job_of,
    lineage,
    probe_recalls,
)
from kotaemon_node.ports.jobs import Order
from kotaemon_node.retrieval.loading import GenerationLoader

_log = structlog.get_logger(__name__)

_NUMBERS_TOLD: Final = 50
_REPEATS_LOOKED_AT: Final = 3


class OrderRefused(Exception):
    """The order cannot be carried out, now or later; the message is for who gave it."""


class NotYet(Exception):
    """The knowledge base has to be built anew first; the order waits."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an order finds: the newest generation, the folder, and the right to publish."""

    kb: str
    newest: Newest
    above: int
    """The number made must be above this one, too."""
    scan: Scan
    leading: Leading

    @property
    def number(self) -> int:
        """The number of the generation that is made."""
        return max(self.newest.number, self.above) + 1

    def served(self) -> Manifest:
        """Return the newest generation, or refuse: there is no such knowledge base."""
        if self.newest.manifest is None:
            raise OrderRefused(f"there is no knowledge base {self.kb}")
        return self.newest.manifest


class Orders:
    """Carries orders out. Used by one thread, and only by the leader."""

    def __init__(
        self,
        *,
        folder: KnowledgeFolder,
        catalog: Catalog,
        builder: Builder,
        loader: GenerationLoader,
        publisher: Publisher,
        updater: Updater,
        purge: Purge,
        vectors: VectorKeeper,
        merges: Merges,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._builder = builder
        self._loader = loader
        self._publisher = publisher
        self._updater = updater
        self._purge = purge
        self._vectors = vectors
        self._merges = merges
        self._handlers: Mapping[str, Callable[[Order, Scene], Manifest]] = {
            "publish": self._publish,
            "rollback": self._roll_back,
            "delete": self._delete,
            "purge": self._delete,
        }

    def carry_out(self, order: Order, scene: Scene) -> Manifest:
        """Return the generation that the order made; it is stored and announced.

        Raises ``OrderRefused``, ``NotYet``, and what publishing raises.
        """
        handler = self._handlers.get(order.kind)
        if handler is None:
            raise OrderRefused(f"this coordinator knows no order {order.kind}")
        manifest = self._made_before(order)
        if manifest is None:
            if self._updater.must_rebuild(scene.kb, scene.newest):
                raise NotYet(order.id)
            try:
                manifest = handler(order, scene)
            except CorruptArtifact:
                self._updater.damaged(scene.kb)
                raise
        self._publisher.announce(manifest)
        if order.kind == "purge":
            self._purge.clean(scene.kb, _text(order, "document"), manifest, scene.leading)
            self._vectors.sweep(scene.kb)
        return manifest

    def _made_before(self, order: Order) -> Manifest | None:
        for number in reversed(self._catalog.numbers(order.kb)[-_REPEATS_LOOKED_AT:]):
            manifest = self._catalog.manifest(order.kb, number)
            if manifest is not None and job_of(manifest) == order.id:
                return manifest
        return None

    def _publish(self, order: Order, scene: Scene) -> Manifest:
        wish = Wish(
            forced=True,
            follow_all=True,
            ungated=order.fields.get("force") is True,
            job=order.id,
        )
        outcome = self._updater.update(
            scene.kb,
            scene.scan,
            scene.newest,
            above=scene.above,
            leading=scene.leading,
            wish=wish,
        )
        if outcome.held is not None or outcome.published is None:
            reason = outcome.held.reason if outcome.held is not None else "nothing was published"
            raise OrderRefused(f"the gate holds it: {reason}; force publishes it all the same")
        return outcome.published

    def _roll_back(self, order: Order, scene: Scene) -> Manifest:
        served = scene.served()
        wanted = order.fields.get("generation")
        target = self._catalog.manifest(scene.kb, wanted) if isinstance(wanted, int) else None
        if target is None or target.generation == served.generation:
            raise OrderRefused(f"generation {wanted} is not one to go back to. {self._told(scene)}")
        if not self._builder.can_extend(target):
            raise OrderRefused(f"generation {wanted} is of another encoder or of other rules")
        made = lineage(
            job=order.id,
            refused=_differences(scene, served, target),
            **{ROLLED_BACK_TO: target.generation, PROBES: dict(probe_recalls(target))},
        )
        manifest = self._builder.repeated(target, scene.number, served, made)
        try:
            # The pods will open just this: what they could not is refused here.
            self._loader.open(manifest).close()
        except CorruptArtifact as error:
            raise OrderRefused(
                f"the index of generation {wanted} is not kept whole: {error}. {self._told(scene)}"
            ) from error
        self._vectors.fill(manifest, alive=scene.leading.alive)
        scene.leading.still()
        self._publisher.store_manifest(manifest)
        _log.info("rolled_back", kb=scene.kb, generation=manifest.generation, to=wanted)
        return manifest

    def _told(self, scene: Scene) -> str:
        served = scene.served().generation
        numbers = [str(it) for it in self._loader.complete(scene.kb) if it != served]
        return f"Possible: {', '.join(numbers[:_NUMBERS_TOLD]) or 'none'}."

    def _delete(self, order: Order, scene: Scene) -> Manifest:
        document = _text(order, "document")
        served = scene.served()
        if knowledge_base_of(document) != scene.kb:
            raise OrderRefused(f"{document} is not a document of {scene.kb}")
        try:
            removed = self._folder.remove(document)
        except OSError as error:
            raise OrderRefused(
                f"the file of {document} cannot be removed: {error.strerror or error}"
            ) from error
        known = any(entry.document == document for entry in served.documents)
        rewrite: frozenset[str] = frozenset()
        if order.kind == "purge":
            # A merge under way may hold rows of it, and would store them after all is clean.
            self._merges.drop(scene.kb, wait=True)
            found = self._purge.traces(scene.kb, document, scene.leading)
            known, rewrite = known or bool(found.manifests), found.segments
        if not (removed or known):
            raise OrderRefused(f"there is no document {document}")
        return self._updater.forget(
            scene.kb,
            (document,),
            served,
            number=scene.number,
            leading=scene.leading,
            job=order.id,
            rewrite=rewrite,
        )


def _differences(scene: Scene, served: Manifest, target: Manifest) -> Mapping[str, str | None]:
    """Return document → what the folder has of it, where that is not what ``target`` has.

    Of a file that is just changing, what is known is what was published of it.
    """
    files = scene.scan.files.get(scene.kb, {})
    wanted = {entry.document: entry.revision for entry in target.documents}
    known = {entry.document: entry.revision for entry in served.documents}
    found: dict[str, str | None] = {}
    for document in sorted({*files, *wanted, *known}):
        revision = revision_in_folder(files.get(document))
        if document in scene.scan.pending:
            revision = known.get(document)
        if revision != wanted.get(document):
            found[document] = revision
    return found


def _text(order: Order, name: str) -> str:
    found: Any = order.fields.get(name)
    if not isinstance(found, str) or not found:
        raise OrderRefused(f"the order names no {name}")
    return found
