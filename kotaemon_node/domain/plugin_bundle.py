"""A plugin as one file: a zip archive that is made and taken apart in one way only.

A bundle holds either ``<name>.py`` or the package ``<name>/``, and beside it perhaps
``<name>.yaml``; nothing else at the top. It is named by the SHA-256 of its bytes, and signed over
name and digest. Equal files make equal bundles: sorted, uncompressed, without times. Taken apart
are also archives that other programs made, as long as nothing in them could lie outside, be linked,
or be too much.
"""

import hashlib
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Final

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.plugin_releases import check_plugin_name

MANIFEST_SUFFIX: Final = ".yaml"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_FILE_MODE: Final = stat.S_IFREG | 0o444
# What every file system and every shell takes; no step is hidden, so none is "." or "..".
_STEP: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. +@=-]{0,127}", re.ASCII)
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1
_CHUNK_BYTES: Final = 64 * 1024
# A signature for anything else under the same key must not pass for that of a bundle.
_PURPOSE: Final = "kotaemon plugin v1"


def message_of(name: str, digest: str) -> bytes:
    """Return the bytes that are signed for a bundle of the plugin ``name``."""
    return f"{_PURPOSE}\n{name}\n{digest}\n".encode()


def digest_of(raw: bytes) -> str:
    """Return what a bundle is called."""
    return hashlib.sha256(raw).hexdigest()


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return the bundle of these files (path → content). Raises as ``opened``."""
    _check_files(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _LONG_AGO)
            entry.create_system = 3  # Unix, wherever we run
            entry.external_attr = _FILE_MODE << 16
            archive.writestr(entry, files[path])
    raw = out.getvalue()
    _check_size(raw)
    return raw


def opened(raw: bytes) -> Mapping[str, bytes]:
    """Return the files of a bundle (path → content), all of them checked.

    ``Invalid`` for what is no archive, is not laid out as a plugin, or has an entry that is no
    plain file below it; ``TooLarge`` for too many or too large ones, before they are in memory.
    """
    _check_size(raw)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            files = _files_of(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise Invalid(f"the bundle is no zip archive that can be read: {error}") from None
    _check_files(files)
    return files


def plugin_name_of(files: Mapping[str, bytes]) -> str:
    """Return the name that the layout gives the plugin; ``Invalid`` where it gives none or two."""
    modules = {path[: -len(".py")] for path in files if "/" not in path and path.endswith(".py")}
    packages = {path.partition("/")[0] for path in files if path.endswith("/__init__.py")}
    names = modules | {it for it in packages if f"{it}/__init__.py" in files}
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "neither"
        raise Invalid(
            f"a plugin is one file NAME.py or one folder NAME with __init__.py; found: {found}"
        )
    (name,) = names
    check_plugin_name(name)
    for path in files:
        if path not in {f"{name}.py", name + MANIFEST_SUFFIX} and not path.startswith(f"{name}/"):
            raise Invalid(f"{path} does not belong to the plugin {name}")
    if f"{name}.py" in files and any(path.startswith(f"{name}/") for path in files):
        raise Invalid(f"there are both {name}.py and a folder {name}")
    return name


def manifest_text(files: Mapping[str, bytes]) -> str:
    """Return the text of ``<name>.yaml``, "" where there is none; ``Invalid`` not in UTF-8."""
    path = plugin_name_of(files) + MANIFEST_SUFFIX
    try:
        return files.get(path, b"").decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not UTF-8") from None


def _files_of(archive: zipfile.ZipFile) -> Mapping[str, bytes]:
    entries = archive.infolist()
    if len(entries) > 2 * limits.BUNDLE_FILES_MAX:
        raise _too_many()
    files: dict[str, bytes] = {}
    left = limits.BUNDLE_UNPACKED_BYTES_MAX
    for entry in entries:
        path = entry.orig_filename  # as it stands there: ``filename`` is what zipfile makes of it
        if path.endswith("/") and not entry.file_size:
            _check_path(path.rstrip("/"))
            continue
        _check_entry(entry)
        if path in files:
            raise Invalid(f"{path!r:.200} is there twice")
        # What an entry says of its size is not believed: it may be a bomb.
        with archive.open(entry) as file:
            content = _read(file, left, path)
        left -= len(content)
        files[path] = content
    return files


def _read(file: IO[bytes], left: int, path: str) -> bytes:
    pieces = bytearray()
    while piece := file.read(_CHUNK_BYTES):
        pieces += piece
        if len(pieces) > left:
            raise TooLarge(
                f"the bundle has more than {limits.BUNDLE_UNPACKED_BYTES_MAX} bytes, at {path:.200}"
            )
    return bytes(pieces)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    path = entry.orig_filename
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise Invalid(f"{path!r:.200} is encrypted, or packed in a way that is not read")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise Invalid(f"{path!r:.200} is a link or something else that is no plain file")


def _check_files(files: Mapping[str, bytes]) -> None:
    if len(files) > limits.BUNDLE_FILES_MAX:
        raise _too_many()
    if sum(map(len, files.values())) > limits.BUNDLE_UNPACKED_BYTES_MAX:
        raise TooLarge(f"the plugin has more than {limits.BUNDLE_UNPACKED_BYTES_MAX} bytes")
    seen: dict[str, str] = {}
    for path in files:
        _check_path(path)
        # Two that differ in case alone are one file on some disks.
        if (other := seen.setdefault(path.lower(), path)) != path:
            raise Invalid(f"{other} and {path} differ in case alone")
    for path in files:
        parent = path
        while parent := parent.rpartition("/")[0]:
            if parent in files:
                raise Invalid(f"{parent} is a file and a folder")
    plugin_name_of(files)


def _check_path(path: str) -> None:
    steps = path.split("/")
    if len(steps) > limits.BUNDLE_DEPTH_MAX:
        raise Invalid(f"{path!r:.200} lies too deep")
    if not all(_STEP.fullmatch(step) for step in steps):
        raise Invalid(f"{path!r:.200} is no path that a plugin may have")


def _check_size(raw: bytes) -> None:
    if len(raw) > limits.BUNDLE_BYTES_MAX:
        raise TooLarge(f"a bundle has at most {limits.BUNDLE_BYTES_MAX} bytes, not {len(raw)}")


def _too_many() -> TooLarge:
    return TooLarge(f"a plugin has at most {limits.BUNDLE_FILES_MAX} files")
