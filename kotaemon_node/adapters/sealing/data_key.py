"""A data key in the clear: how one is made, and how it comes out of its row."""

import secrets
from dataclasses import dataclass, field
from typing import Final

from kotaemon_node.domain.data_keys import KEY_ID_BYTES, DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.ports.data_keys import MasterKeys

_SECRET_BYTES: Final = 32


@dataclass(slots=True, eq=False)
class DataKey:
    """A key in the clear: in memory and nowhere else."""

    row: DataKeyRow
    secret: bytes = field(repr=False)
    digests: bytes = field(repr=False)
    """Secret of the tenant's digests: handed from key to key, so that rotating changes none."""

    @property
    def raw_id(self) -> bytes:
        """Its id as values hold it."""
        return bytes.fromhex(self.row.id)


def new_data_key(
    masters: MasterKeys,
    tenant: str,
    table: DataKeyTable,
    *,
    now_s: float,
    before: DataKey | None = None,
) -> DataKey:
    """Return a fresh key, newer than those of ``table``, wrapped and kept nowhere yet.

    ``before``: the one that it follows. Raises ``Unavailable`` where no master key wraps it.
    """
    # Clocks differ: the one that is made last is the newest all the same.
    made_ms = max([int(now_s * 1000), *(row.made_ms + 1 for row in table.rows.values())])
    row = DataKeyRow(secrets.token_hex(KEY_ID_BYTES), tenant, made_ms, master="", wrapped="")
    secret = secrets.token_bytes(_SECRET_BYTES)
    digests = before.digests if before else secrets.token_bytes(_SECRET_BYTES)
    return DataKey(masters.wrap(secret + digests, row), secret, digests)


def opened_data_key(masters: MasterKeys, row: DataKeyRow) -> DataKey:
    """Return the key of a row; raises ``Sealed``."""
    both = masters.unwrap(row)
    if len(both) != 2 * _SECRET_BYTES:
        raise Sealed(f"what is kept of the data key {row.id} was altered", reason="altered")
    return DataKey(row, both[:_SECRET_BYTES], both[_SECRET_BYTES:])
