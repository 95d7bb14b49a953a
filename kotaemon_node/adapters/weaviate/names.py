"""How sets of vectors are called in Weaviate.

| there                | here                                                                      |
|----------------------|---------------------------------------------------------------------------|
| collection           | a space of a knowledge base, ``Kn_<area, tenant, kb>_<space, dimension>`` |
| tenant of collection | a segment, under its own name: an index by itself, dropped at once        |
| id of object         | a row of the segment, as the last digits of a UUID; the last one: a seal  |

Ids and spaces have letters that Weaviate allows in no name, so collections carry digests of them;
their descriptions say what they are. Names made here are safe inside a GraphQL query.
"""

import hashlib
import re
from typing import Final

from kotaemon_node.ports.vectors import VectorSet

SEAL: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""The id of the object that is written last into a set."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ROW_UUID: Final = re.compile(r"00000000-0000-0000-0000-([0-9a-f]{12})")


def collection_prefix(area: str, tenant: str, kb: str) -> str:
    """Return how the names of all collections of a knowledge base begin, and no others."""
    return f"Kn_{_digest(area, tenant, kb)}_"


def collection(area: str, of: VectorSet) -> str:
    """Return the name of the collection that has the set."""
    space = _digest(of.space, str(of.dimension))
    return f"{collection_prefix(area, of.tenant, of.kb)}{space}"


def description(area: str, of: VectorSet) -> str:
    """Return what a collection is, for people who look into the server."""
    return (
        f"kotaemon: area {area}, tenant {of.tenant}, knowledge base {of.kb},"
        f" space {of.space}, {of.dimension} dimensions"
    )


def shard(of: VectorSet) -> str:
    """Return the name of the collection's tenant that has the set."""
    if not _SEGMENT.fullmatch(of.segment):
        raise ValueError(f"{of.segment!r} is no name of a segment")
    return of.segment


def uuid_of(row: int) -> str:
    """Return the id under which the vector of a row lies."""
    return f"00000000-0000-0000-0000-{row:012x}"


def row_of(uuid: str) -> int:
    """Return the row of an id; ``ValueError`` for one that is not ours."""
    found = _ROW_UUID.fullmatch(uuid)
    if found is None:
        raise ValueError(f"{uuid} is the id of no row")
    return int(found[1], 16)


def _digest(*parts: str) -> str:
    # Lengths are in it, so that no two lists of parts read the same.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
