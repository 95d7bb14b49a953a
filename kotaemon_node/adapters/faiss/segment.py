"""An open segment: memory-mapped files, read on demand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.adapters.faiss.lexicon import Lexicon
from kotaemon_node.adapters.faiss.spaces import Space, nothing_for, open_space
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage


class FaissSegment:
    """``ports.segments.Segment`` over the files of ``layout.py``."""

    def __init__(self, name: str, paths: Mapping[str, Path]) -> None:
        """Map ``paths``, whose checksums are known to be right; ``CorruptArtifact`` if unfit."""
        self._name = name
        self.rows = StoredRows(paths)
        self.lexicon = Lexicon(paths)
        self._lengths = layout.int32s(paths[layout.LENGTHS])
        self.spaces: Mapping[str, Space] = {
            space: open_space(space, paths) for space in layout.spaces_in(paths)
        }
        if len(self._lengths) != len(self.rows.document_of_row):
            raise CorruptArtifact(f"the files of segment {name} do not belong together")

    @property
    def name(self) -> str:
        return self._name

    @property
    def passages(self) -> int:
        return len(self.rows.document_of_row)

    @property
    def documents(self) -> Sequence[str]:
        return self.rows.documents

    @property
    def document_of_row(self) -> NDArray[np.int32]:
        return self.rows.document_of_row

    @property
    def lengths(self) -> NDArray[np.int32]:
        return self._lengths

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return self.lexicon.postings(term)

    def nearest(
        self,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        live: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if space not in self.spaces:
            return nothing_for(queries)
        return self.spaces[space].nearest(queries, k, live)

    @property
    def vectors(self) -> Mapping[str, int]:
        return {name: len(space.rows) for name, space in self.spaces.items()}

    def vector(self, row: int) -> Mapping[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        for name, space in self.spaces.items():
            place = int(np.searchsorted(space.rows, row))
            if place < len(space.rows) and space.rows[place] == row:
                found[name] = space.vectors[place].copy()
        return found

    def passage(self, row: int) -> Passage:
        return self.rows.passage(row)

    def close(self) -> None:
        # Mappings end with their last reference; what a caller still holds stays readable.
        del self.rows, self.lexicon, self._lengths, self.spaces


class StoredRows:
    """Passages and their documents."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.lines = layout.mapped(paths[layout.PASSAGES])
        self.offsets = layout.int64s(paths[layout.PASSAGE_OFFSETS])
        self.documents: tuple[str, ...] = tuple(orjson.loads(paths[layout.DOCUMENTS].read_bytes()))
        self.document_of_row = layout.int32s(paths[layout.DOCUMENT_OF_ROW])
        places = self.document_of_row
        if len(places) and not 0 <= places.min() <= places.max() < len(self.documents):
            raise CorruptArtifact("rows of a segment are of documents that it does not name")

    def passage(self, row: int) -> Passage:
        fields = orjson.loads(self.lines[self.offsets[row] : self.offsets[row + 1]])
        fields["heading"] = tuple(fields["heading"])
        fields["span"] = tuple(fields["span"])
        return Passage(**fields)
