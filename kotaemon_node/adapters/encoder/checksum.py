"""The checksum of a file."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the sha256 (hex) of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
