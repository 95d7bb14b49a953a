"""Whether a chain follows the one before it, by what its first entry says of that."""

from collections.abc import Collection

from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.walking import ChainWalk, number_of
from kotaemon_node.domain.audit_chain import Entry


def compare_beginning(
    before: ChainWalk | None,
    walk: ChainWalk,
    found: Verification,
    *,
    excused: Collection[str],
    since: str,
) -> None:
    """Name a chain that does not begin where the one before it ended.

    ``excused``: chains of which the beginning, and perhaps all, may be gone.
    """
    first = walk.first
    if first is None or first.seq != 1:
        return
    told = first.event.detail
    if before is None:
        named = told.get("before_chain")
        if named and named not in excused and not since:
            text = f"the log before it, up to entry {number_of(told.get('before_seq'))}, is gone"
            found.add("begun_again", walk.chain, 1, text)
    elif not _follows(told, before.last):
        end = f"entry {before.last.seq}" if before.last else "its beginning"
        text = f"another log begins at {first.at}: the store had lost the one up to {end}"
        found.add("begun_again", walk.chain, 1, text)


def _follows(told: object, known: Entry | None) -> bool:
    """Tell whether a chain says that it follows exactly the end of the one before."""
    if not isinstance(told, dict) or known is None:
        return False
    place = (told.get("before_chain"), told.get("before_seq"), told.get("before_hash"))
    return place == (str(known.chain), known.seq, known.hash)
