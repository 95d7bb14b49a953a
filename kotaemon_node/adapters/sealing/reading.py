"""``ports.cipher.FieldCipher`` of a process that knows the keys, and seals nothing yet."""

from kotaemon_node.ports.cipher import FieldCipher, SealedPlace


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
