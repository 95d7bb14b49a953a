"""What is asked of the seal on everything that users and models wrote, once it leaves memory."""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

from kotaemon_node.domain.errors import MasterKeyMissing

SEALED_MARK: Final = b"\xf5"
"""The first byte of every sealed value: no text, JSON or zlib stream begins with it."""


@dataclass(frozen=True, slots=True)
class SealedPlace:
    """Where a sealed value lies: it opens there and nowhere else."""

    tenant: str
    field: str
    """What it is: ``turn``, ``frame``, ``summary``, ``record``; never empty.

    Its first word is the kind, others tell apart what lies there: ``job result 17``.
    """
    session: str = ""
    turn: str = ""

    @property
    def kind(self) -> str:
        """The first word of the field: what is of no session has a key of its kind."""
        return self.field.partition(" ")[0]


class FieldCipher(Protocol):
    """Seals values and opens them; thread safe. A cluster without a master key seals nothing."""

    def seal(self, value: bytes, place: SealedPlace) -> bytes:
        """Return ``value`` so that only ``open`` for the same place gives it back.

        Raises ``StoreUnavailable`` where the tenant's key cannot be read or made now.
        """
        ...

    def open(self, sealed: bytes, place: SealedPlace) -> bytes:
        """Return what was sealed; a value that is not sealed is returned as it is.

        Raises ``Sealed`` where the key is gone (destroyed, or its master key is not known here) and
        where the value was altered or comes from another place.
        """
        ...

    def digest(self, value: bytes, tenant: str) -> bytes:
        """Return 32 bytes that are the same for equal values of a tenant, on every pod.

        They tell nobody else the value, also where few are possible, and stay the same when keys
        are rotated. Raises as ``seal``.
        """
        ...


class NoCipher:
    """Of a process without a master key: seals nothing, and shows nothing that others sealed."""

    def seal(self, value: bytes, place: SealedPlace) -> bytes:
        """See the port."""
        del place
        return value

    def open(self, sealed: bytes, place: SealedPlace) -> bytes:
        """See the port."""
        if sealed.startswith(SEALED_MARK):
            raise MasterKeyMissing(
                f"the {place.field} was sealed, and this process has no master key; "
                "give it ENCRYPTION_KEY_FILE"
            )
        return sealed

    def digest(self, value: bytes, tenant: str) -> bytes:
        """See the port."""
        del tenant
        return hashlib.sha256(value).digest()
