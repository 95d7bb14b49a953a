"""Identifiers from the operating system's randomness."""

import secrets


class RandomIds:
    """``ports.runtime.IdSource`` with 128 random bits an id, as 32 hex digits."""

    def new_id(self) -> str:
        """See the port."""
        return secrets.token_hex(16)
