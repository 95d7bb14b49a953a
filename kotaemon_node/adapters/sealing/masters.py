"""Master keys out of a file: ``ports.data_keys.MasterKeys``.

A data key is wrapped by AES-256-GCM under a random nonce, with tenant and id as associated data:
so a row that was put under another tenant opens nothing. (AES-KW of RFC 3394 has no associated
data; NIST SP 800-38F, 3.1, lets an authenticated mode wrap keys.) A master key wraps some keys of
each tenant, far from 2^32.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kotaemon_node.adapters.sealing.values import NONCE_BYTES
from kotaemon_node.domain.data_keys import DataKeyRow
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed, Unavailable
from kotaemon_node.ports.credentials import Lines

_log = structlog.get_logger(__name__)

_KEY_BYTES: Final = 32
_HEX_CHARS: Final = 2 * _KEY_BYTES


def problem_of_master_key(line: str) -> str:
    """Return what is wrong with a line of the file of master keys; "" for a good one."""
    try:
        _read(line)
    except ValueError as error:
        return str(error)
    return ""


class MasterKeyLines:
    """Master keys that somebody writes into a file, newest first; the first one wraps."""

    def __init__(self, lines: Lines) -> None:
        """``lines`` were checked by ``problem_of_master_key``."""
        self._lines = lines
        self._seen: Sequence[str] = ()
        self._keys: dict[str, AESGCM] = {}

    def wrap(self, secret: bytes, row: DataKeyRow) -> DataKeyRow:
        """See the port."""
        for master, key in self._known().items():
            nonce = os.urandom(NONCE_BYTES)
            wrapped = nonce + key.encrypt(nonce, secret, _associated(row))
            return replace(row, master=master, wrapped=base64.b64encode(wrapped).decode())
        raise Unavailable("there is no master key: see ENCRYPTION_KEY_FILE")

    def unwrap(self, row: DataKeyRow) -> bytes:
        """See the port."""
        key = self._known().get(row.master)
        if key is None:
            raise MasterKeyMissing(
                f"the data key {row.id} of tenant {row.tenant} is wrapped by the master key"
                f" {row.master}, which is not in ENCRYPTION_KEY_FILE here; add it to the file"
            )
        try:
            raw = base64.b64decode(row.wrapped, validate=True)
            secret = key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _associated(row))
        except (binascii.Error, ValueError, InvalidTag):
            problem = f"what is kept of the data key {row.id} was altered"
            raise Sealed(problem, reason="altered") from None
        return secret

    def ids(self) -> Sequence[str]:
        """See the port."""
        return list(self._known())

    def _known(self) -> dict[str, AESGCM]:
        lines = self._lines.lines()
        # A file that became unusable is in the log; meanwhile the keys of before go on.
        if lines and lines != self._seen:
            keys = [_read(line) for line in lines]
            self._keys = {_id(key): AESGCM(key) for key in keys}
            self._seen = lines
            _log.info("master_keys_read", wraps=next(iter(self._keys)), known=list(self._keys))
        return self._keys


def _read(line: str) -> bytes:
    try:
        key = bytes.fromhex(line) if len(line) == _HEX_CHARS else _unpadded(line)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(
            "a master key is 32 random bytes in hex or base64; `openssl rand -hex 32` makes one"
        )
    if len(set(key)) < _KEY_BYTES // 4:  # of random bytes one in 10^30 has so few different ones
        raise ValueError("a master key is not random; `openssl rand -hex 32` makes one")
    return key


def _unpadded(line: str) -> bytes:
    """Return what base64 of either alphabet says, with padding or without."""
    text = line.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _id(key: bytes) -> str:
    """Return by what rows name a master key; tells nothing of it."""
    return hmac.digest(key, b"kotaemon master key id", hashlib.sha256).hex()[:16]


def _associated(row: DataKeyRow) -> bytes:
    # Neither tenants nor ids hold a blank.
    return f"kotaemon data key {row.tenant} {row.id}".encode()
