"""The page's files as they are sent: compressed, and under addresses that change with them."""

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from flask import Response, request

_KEPT_FILES_MAX: Final = 256
"""Files kept compressed; the page has about a hundred, 140 kB together."""

_TEXTS: Final = frozenset({".css", ".html", ".js", ".json", ".svg", ".ts", ".txt"})

_VERSIONED: Final = re.compile(r"v-([0-9a-f]{12})/(.+)", re.DOTALL)

FOR_EVER: Final = "public, max-age=31536000, immutable"
"""For what an address with a version names: another content has another address."""

ASK_FIRST: Final = "no-cache"
"""For names that do not change with content: keep the file, but ask whether it is still the one."""


@lru_cache(maxsize=2)
def version_of(assets: Path) -> str:
    """Return 12 hex digits that follow from the content of all files: equal on all pods.

    Read once: who changes the files of a running pod restarts it.
    """
    whole = hashlib.sha256()
    for file in sorted(file for file in assets.rglob("*") if file.is_file()):
        name = file.relative_to(assets).as_posix()
        whole.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:12]


def unversioned(name: str, assets: Path) -> tuple[str, str]:
    """Return the file that an address names, and how long a browser may keep it.

    A page of another version of the program may ask, while both run: it gets what there is.
    """
    found = _VERSIONED.fullmatch(name)
    if found is None:
        return name, ASK_FIRST
    version, file = found.groups()
    return file, FOR_EVER if version == version_of(assets) else ASK_FIRST


def with_versions(page: str, assets: Path) -> str:
    """Return a page whose files have addresses with their version, and those inside them too."""
    return page.replace('"/assets/', f'"/assets/v-{version_of(assets)}/')


def packed(answer: Response, file: Path) -> Response:
    """Compress the whole text that is about to be sent, where the caller takes that."""
    if file.suffix not in _TEXTS:
        return answer
    answer.vary.add("Accept-Encoding")
    # Both forms are the same file: a weak tag says so, and is what If-None-Match compares.
    tag, _ = answer.get_etag()
    if tag is not None:
        answer.set_etag(tag, weak=True)
    if answer.status_code == 200 and request.accept_encodings.quality("gzip") > 0:
        answer.direct_passthrough = False
        answer.set_data(_compressed(answer.get_data()))
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers.pop("Accept-Ranges", None)
    return answer


@lru_cache(maxsize=_KEPT_FILES_MAX)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)
