"""Where the older part of the audit log lies in the artifact store; the only place of these names.

It is not below ``tenants/``: who removes a tenant's data removes no proof of having done so, and a
bucket may lock this one prefix.
"""

import re
from typing import Final, Literal

NoteKind = Literal["volume", "anchor", "retired"]

PREFIX: Final = "audit/"
_FOLDERS: Final[dict[NoteKind, str]] = {
    "volume": "volumes",
    "anchor": "anchors",
    "retired": "retired",
}
_CHAIN: Final = re.compile(r"[0-9]{15}")
_VOLUME: Final = re.compile(
    r"audit/[^/]+/(\d{15})/volumes/(\d{12})-(\d{12})-[0-9a-f]{16}\.jsonl\.gz"
)


def audit_prefix(tenant: str, kind: NoteKind | None = None, *, chain: int = 0) -> str:
    """Return the prefix of all that lies there of a tenant's log; of one chain, of one kind."""
    prefix = f"{PREFIX}{tenant}/"
    if chain:
        prefix += f"{chain:015d}/"
        if kind:
            prefix += f"{_FOLDERS[kind]}/"
    return prefix


def volume_name(tenant: str, chain: int, first: int, last: int, sha256: str) -> str:
    """Return the name of a volume: entries ``first`` to ``last`` of a chain, gzipped lines."""
    stem = f"{first:012d}-{last:012d}-{sha256[:16]}"
    return f"{audit_prefix(tenant, 'volume', chain=chain)}{stem}.jsonl.gz"


def note_name(kind: NoteKind, tenant: str, chain: int, *, first: int, last: int, mark: str) -> str:
    """Return the name of a signed note; ``mark`` keeps two apart that contradict each other."""
    numbers = f"{first:012d}-{last:012d}" if kind == "volume" else f"{last:012d}"
    return f"{audit_prefix(tenant, kind, chain=chain)}{numbers}-{mark[:16]}.note"


def kind_of_note(name: str) -> NoteKind | None:
    """Return of what kind the note of this name is; None: it is none."""
    if not name.endswith(".note"):
        return None
    folder = name.split("/")[-2]
    return next((kind for kind, named in _FOLDERS.items() if named == folder), None)


def volume_numbers(name: str) -> tuple[int, int, int] | None:
    """Return chain, first and last entry of the volume of this name; None: it is none."""
    found = _VOLUME.fullmatch(name)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def chain_of(name: str) -> int:
    """Return of which chain the object of this name is; 0: of none, somebody else put it there."""
    step = name.split("/")[2]
    return int(step) if _CHAIN.fullmatch(step) else 0


def tenant_of(name: str) -> str:
    """Return whose log a name belongs to."""
    return name.split("/", 2)[1]
