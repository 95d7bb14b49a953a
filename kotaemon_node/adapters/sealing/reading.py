"""Of processes that open what others sealed: the cipher that seals nothing, keys that are read."""

from collections.abc import Collection, Sequence

from kotaemon_node.domain.data_keys import DataKeyRow, DataKeyTable
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.ports.cipher import FieldCipher, SealedPlace
from kotaemon_node.ports.data_keys import DataKeys


class OpensOnly:
    """Opens what others sealed; what it writes every program reads, with a key or without."""

    def __init__(self, cipher: FieldCipher) -> None:
        self._cipher = cipher

    def seal(self, value: bytes, place: SealedPlace) -> bytes:
        """Return the value as it is."""
        del place
        return value

    def open(self, sealed: bytes, place: SealedPlace) -> bytes:
        """See the port."""
        return self._cipher.open(sealed, place)

    def digest(self, value: bytes, tenant: str) -> bytes:
        """See the port; the same that a sealing process makes."""
        return self._cipher.digest(value, tenant)


class ReadKeys:
    """``ports.data_keys.DataKeys`` of who may read them only: others give back what is lost."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def read(self, tenant: str) -> DataKeyTable:
        """See the port."""
        return self._keys.read(tenant)

    def add(self, row: DataKeyRow, *, newest: str) -> bool:
        """Raise: whoever needs a new key has to write."""
        del row, newest
        raise StoreUnavailable("this process reads data keys, and makes none")

    def put_back(self, row: DataKeyRow) -> bool:
        """Leave it to who may."""
        del row
        return False

    def rewrap(self, old: DataKeyRow, new: DataKeyRow) -> bool:
        """Leave it to who may."""
        del old, new
        return False

    def destroy(self, tenant: str, ids: Collection[str]) -> None:
        """Leave it to who may."""

    def tenants(self) -> Sequence[str]:
        """See the port."""
        return self._keys.tenants()
