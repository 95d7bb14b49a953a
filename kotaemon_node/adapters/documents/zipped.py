"""A ZIP archive's members, read within bounds: a small file may unpack to an enormous one."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Both formats that we open (OPC, EPUB) know no others; those of zipfile are not bounded in memory.
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED_BIT: Final = 0x1
_PIECE_BYTES: Final = 64 * 1024
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
)


class Zipped:
    """Members by their names, whatever the case of their letters.

    Of two with one name the later counts. What is read of all together is bounded by
    ``ZIP_BYTES_MAX``; sizes that the archive claims are not believed. Every method raises
    ``DocumentRefused`` with the reason.
    """

    def __init__(self, content: bytes) -> None:
        # Every entry begins so; counting them costs nothing, the objects of a million a gigabyte.
        if content.count(_DIRECTORY_ENTRY) > limits.ZIP_MEMBERS_MAX:
            raise DocumentRefused(f"it is an archive of more than {limits.ZIP_MEMBERS_MAX:,} files")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except _DAMAGED as error:
            raise DocumentRefused("it is damaged: it begins as a ZIP file and is none") from error
        self._members = {info.filename.lower(): info for info in self._zip.infolist()}
        self._left_bytes = limits.ZIP_BYTES_MAX

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._members

    def names(self) -> Sequence[str]:
        """Return the members' names, in lower case."""
        return tuple(self._members)

    def encrypted(self) -> bool:
        """Tell whether any member needs a password."""
        return any(info.flag_bits & _ENCRYPTED_BIT for info in self._members.values())

    def read(self, name: str) -> bytes:
        """Return a member whole; one over ``ZIP_PART_BYTES_MAX`` is refused."""
        content = bytearray()
        with self.open(name) as file:
            # Asked for all at once, it would set aside as much as it is allowed to have.
            while piece := file.read(_PIECE_BYTES):
                content += piece
                if len(content) > limits.ZIP_PART_BYTES_MAX:
                    limit_mb = limits.ZIP_PART_BYTES_MAX // 1024**2
                    raise DocumentRefused(f"its part {name} is over the limit of {limit_mb} MB")
        return bytes(content)

    def open(self, name: str) -> IO[bytes]:
        """Return a member to be read piece by piece."""
        info = self._members.get(name.lower())
        if info is None:
            raise DocumentRefused(f"it is damaged: its part {name} is missing")
        if info.flag_bits & _ENCRYPTED_BIT:
            raise DocumentRefused("it is encrypted and needs a password; save it without one")
        if info.compress_type not in _METHODS:
            raise DocumentRefused(f"its part {name} is compressed in a way that is not supported")
        try:
            # Buffered: what reads pieces of a few bytes asks the archive for larger ones.
            return io.BufferedReader(_Member(self, name, self._zip.open(info)), _PIECE_BYTES)
        except (*_DAMAGED, RuntimeError) as error:
            raise _damaged(name) from error

    def spend(self, size_bytes: int) -> None:
        """Count what was read."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            limit_mb = limits.ZIP_BYTES_MAX // 1024**2
            raise DocumentRefused(f"it unpacks to more than the limit of {limit_mb} MB")


class _Member(io.RawIOBase):
    """One member, read in pieces: a single read would unpack it without a bound."""

    def __init__(self, zipped: Zipped, name: str, file: IO[bytes]) -> None:
        self._zipped = zipped
        self._name = name
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        try:
            piece = self._file.read(min(len(view), _PIECE_BYTES))
        except _DAMAGED as error:
            raise _damaged(self._name) from error
        self._zipped.spend(len(piece))
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _damaged(name: str) -> DocumentRefused:
    return DocumentRefused(f"it is damaged: its part {name} cannot be unpacked")
