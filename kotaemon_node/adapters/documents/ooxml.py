"""A package of Office Open XML (DOCX, PPTX, XLSX): its parts, and how they refer to each other."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from kotaemon_node.adapters.documents.xml_trees import Element, attribute, children, xml_tree
from kotaemon_node.adapters.documents.zipped import Zipped
from kotaemon_node.domain.errors import DocumentRefused


@dataclass(frozen=True, slots=True)
class Relationship:
    """A reference of one part to another. ``kind`` is the last word of its type."""

    id: str
    kind: str
    part: str


class Package:
    """The parts of an archive. References that lead outside of it are not followed."""

    def __init__(self, zipped: Zipped) -> None:
        self._zipped = zipped
        self._relationships: dict[str, Sequence[Relationship]] = {}

    @property
    def zipped(self) -> Zipped:
        """Return what holds the parts."""
        return self._zipped

    def main(self) -> str:
        """Return the name of the part where the document begins. Raises ``DocumentRefused``."""
        found = self.related("", "officeDocument")
        if not found:
            raise DocumentRefused("it is damaged: it is an Office document without a main part")
        return found[0]

    def tree(self, part: str) -> Element:
        """Return a part's root. Raises ``DocumentRefused``."""
        return xml_tree(self._zipped.read(part), part=part)

    def related(self, part: str, kind: str) -> Sequence[str]:
        """Return the existing parts that ``part`` ("" for the package) refers to as ``kind``."""
        return [it.part for it in self._of(part) if it.kind == kind and it.part in self._zipped]

    def tree_of(self, part: str, kind: str) -> Element | None:
        """Return the root of the first part of that kind, else None."""
        found = self.related(part, kind)
        return self.tree(found[0]) if found else None

    def target(self, part: str, reference: str | None) -> Relationship | None:
        """Return the relationship of ``part`` with that id, if it leads to a part that exists."""
        return next(
            (it for it in self._of(part) if it.id == reference and it.part in self._zipped), None
        )

    def _of(self, part: str) -> Sequence[Relationship]:
        if part not in self._relationships:
            self._relationships[part] = self._read(part)
        return self._relationships[part]

    def _read(self, part: str) -> Sequence[Relationship]:
        folder, name = posixpath.split(part)
        where = posixpath.join(folder, "_rels", f"{name}.rels")
        if where not in self._zipped:
            return ()
        return [
            Relationship(
                attribute(it, "Id") or "",
                (attribute(it, "Type") or "").rpartition("/")[2],
                _inside(folder, attribute(it, "Target") or ""),
            )
            for it in children(self.tree(where), "Relationship")
            if attribute(it, "TargetMode") != "External"
        ]


def _inside(folder: str, target: str) -> str:
    path = unquote(target.partition("#")[0])
    absolute = path if path.startswith("/") else f"/{folder}/{path}"
    return posixpath.normpath(absolute).lstrip("/")
