"""Where the wrapped data keys of tenants lie, and who wraps them."""

from collections.abc import Collection, Sequence
from typing import Protocol

from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable


class DataKeys(Protocol):
    """Data keys that all pods share. Every call may raise ``StoreUnavailable`` and be repeated."""

    def read(self, tenant: str) -> DataKeyTable:
        """Return all that is known of a tenant's keys."""
        ...

    def add(self, row: DataKeyRow, *, newest: str) -> bool:
        """Keep a new key, which seals from here on; ``newest`` is what ``read`` said of it.

        False, and nothing is kept, where another key came meanwhile: read again.
        """
        ...

    def put_back(self, row: DataKeyRow) -> bool:
        """Keep a key that this place has lost; False where it has it, or it was destroyed."""
        ...

    def rewrap(self, old: DataKeyRow, new: DataKeyRow) -> bool:
        """Replace a row by the same key under another master key; False where it is not ``old``."""
        ...

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """Remove keys for ever, known here or not, and remember that they were destroyed."""
        ...

    def tenants(self) -> Sequence[str]:
        """Return the tenants that have, or had, keys, sorted."""
        ...


class CopiesOfDataKeys(Protocol):
    """A second place, which outlives the loss of the first; may raise ``Unavailable``."""

    def read(self, tenant: str) -> DataKeyTable:
        """Return what is kept there; its ``newest`` says nothing."""
        ...

    def keep(self, row: DataKeyRow) -> None:
        """Keep a row, in place of rows of the same key; nothing where the key was destroyed.

        It is there, and survives a crash, when the call returns.
        """
        ...

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """As ``DataKeys.destroy``."""
        ...

    def tenants(self) -> Sequence[str]:
        """As ``DataKeys.tenants``."""
        ...


class MasterKeys(Protocol):
    """Wraps data keys; the port behind which a key service may stand. Thread safe.

    Both calls may raise ``Unavailable`` where the keys are elsewhere and that is away.
    """

    def wrap(self, secret: bytes, row: DataKeyRow) -> DataKeyRow:
        """Return ``row`` with ``secret`` wrapped by the newest master key.

        Raises ``Unavailable`` where there is no master key.
        """
        ...

    def unwrap(self, row: DataKeyRow) -> bytes:
        """Return what was wrapped.

        Raises ``MasterKeyMissing`` for a master key that is not known here, ``Sealed`` where the
        row was altered or is that of another key.
        """
        ...

    def ids(self) -> Sequence[str]:
        """Return the ids of the master keys known here, the one that wraps first."""
        ...
