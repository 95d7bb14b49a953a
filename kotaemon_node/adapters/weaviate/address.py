"""Where the vector store is and how to be let in."""

import re
from dataclasses import dataclass, field
from typing import Final, Protocol, Self
from urllib.parse import urlsplit

_SCHEMES: Final = {"weaviate+http": ("http", 80), "weaviate+https": ("https", 443)}
DEFAULT_AREA: Final = "kotaemon"
_AREA: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class VectorSettings(Protocol):
    """What is read of the settings."""

    @property
    def vector_store(self) -> str: ...
    @property
    def vector_store_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class WeaviateAddress:
    """A Weaviate server, or the name behind which several stand."""

    url: str
    """``http(s)://host:port`` without a path."""
    area: str = DEFAULT_AREA
    """Part of all names that we use there: clusters that share a server need different ones."""
    key: str = field(default="", repr=False)

    @classmethod
    def of(cls, settings: VectorSettings) -> Self:
        """Return the server that the settings name. Raises ``ValueError`` where they do not."""
        # The message names no address: people put passwords into addresses.
        wrong = ValueError(
            "VECTOR_STORE is not weaviate+http(s)://host:port/area, where the area (small letters,"
            " digits, -) may be left out; a key goes into VECTOR_STORE_KEY"
        )
        try:
            url = urlsplit(settings.vector_store.strip())
            port = url.port
        except ValueError as error:
            raise wrong from error
        area = url.path.removeprefix("/") or DEFAULT_AREA
        beside = url.query or url.fragment or url.username or url.password
        if url.scheme not in _SCHEMES or not url.hostname or port == 0 or beside:
            raise wrong
        if not _AREA.fullmatch(area):
            raise wrong
        scheme, usual_port = _SCHEMES[url.scheme]
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return cls(f"{scheme}://{host}:{port or usual_port}", area, settings.vector_store_key)
