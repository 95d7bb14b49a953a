"""``ports.cipher.FieldCipher`` with AES-256-GCM."""

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kotaemon_node.adapters.sealing.data_key import DataKey
from kotaemon_node.adapters.sealing.ring import DataKeyRing
from kotaemon_node.adapters.sealing.values import (
    is_sealed,
    key_id_of,
    opened_value,
    sealed_value,
    subkey,
)
from kotaemon_node.domain import sealing_limits as limits
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.ports.cipher import SealedPlace


class SealingCipher:
    """Seals with the tenant's newest key and opens with any that is left. Thread safe."""

    def __init__(
        self,
        ring: DataKeyRing,
        *,
        strict: bool = False,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``strict``: what is not sealed is refused, too. ``count`` is told why nothing opened."""
        self._ring = ring
        self._strict = strict
        self._count = count
        self._lock = threading.Lock()
        self._subkeys: OrderedDict[tuple[DataKey, str], AESGCM] = OrderedDict()
        ring.dropped = self._drop

    def seal(self, value: bytes, place: SealedPlace) -> bytes:
        """See the port."""
        data_key = self._ring.newest(place.tenant)
        key = self._subkey(data_key, place)
        return sealed_value(value, place, key_id=data_key.raw_id, key=key)

    def open(self, sealed: bytes, place: SealedPlace) -> bytes:
        """See the port."""
        try:
            return self._opened(sealed, place)
        except Sealed as error:
            self._count(error.reason)
            raise

    def digest(self, value: bytes, tenant: str) -> bytes:
        """See the port."""
        return hmac.digest(self._ring.newest(tenant).digests, value, hashlib.sha256)

    def _opened(self, sealed: bytes, place: SealedPlace) -> bytes:
        if is_sealed(sealed):
            data_key = self._ring.of(place.tenant, key_id_of(sealed).hex())
            return opened_value(sealed, place, key=self._subkey(data_key, place))
        if self._strict:
            problem = f"a {place.field} is not sealed, and ENCRYPTION_PLAIN=refuse"
            raise Sealed(problem, reason="unsealed")
        return sealed

    def _subkey(self, data_key: DataKey, place: SealedPlace) -> AESGCM:
        """Return the key of a session, or of a kind; deriving one takes as long as ten seals."""
        name = (data_key, f"s{place.session}" if place.session else f"k{place.kind}")
        with self._lock:
            if (key := self._subkeys.get(name)) is not None:
                self._subkeys.move_to_end(name)
                return key
        key = subkey(data_key.secret, place)
        with self._lock:
            self._subkeys[name] = key
            if len(self._subkeys) > limits.SEALING_SUBKEYS_MAX:
                self._subkeys.popitem(last=False)
        return key

    def _drop(self, data_key: DataKey) -> None:
        """Forget what was derived of a key that was destroyed."""
        with self._lock:
            for name in [name for name in self._subkeys if name[0] is data_key]:
                del self._subkeys[name]
