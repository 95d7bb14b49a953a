"""Bundles: made in one way only, and nothing in one can lie outside of it."""

import io
import stat
import zipfile
from collections.abc import Callable

import pytest

from kotaemon_node.domain import acting_limits as bounds
from kotaemon_node.domain.errors import Invalid, TooLarge
from kotaemon_node.domain.plugin_bundle import (
    digest_of,
    manifest_text,
    opened,
    packed,
    plugin_name_of,
)

FILES = {"orders.py": b"x = 1\n", "orders.yaml": "effects: read # 读\n".encode()}
PACKAGE = {"orders/__init__.py": b"", "orders/shop/api.py": b"y = 2\n", "orders.yaml": b""}


def test_equal_files_make_equal_bundles_that_open_to_them() -> None:
    raw = packed(FILES)

    assert raw == packed(dict(reversed(FILES.items())))
    assert opened(raw) == FILES
    assert digest_of(raw) != digest_of(packed({**FILES, "orders.py": b"x = 2\n"}))
    assert manifest_text(FILES) == "effects: read # 读\n"


def test_a_plugin_is_a_file_or_a_package() -> None:
    assert plugin_name_of(FILES) == "orders"
    assert opened(packed(PACKAGE)) == PACKAGE
    assert plugin_name_of(PACKAGE) == "orders"


def test_what_other_programs_packed_is_opened() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders/", b"")
        for path, content in PACKAGE.items():
            archive.writestr(path, content)

    assert opened(out.getvalue()) == PACKAGE


def zipped(path: str, content: bytes = b"", *, mode: int = 0, twice: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.py", b"")
        for _ in range(2 if twice else 1):
            entry = zipfile.ZipInfo("x" * len(path))
            entry.filename = path  # also what the constructor would make harmless
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "path",
    [
        "../evil.py",
        "/etc/passwd",
        "orders/../../evil.py",
        "orders\\..\\evil.py",
        "orders//x.py",
        "orders/./x.py",
        ".hidden",
        "orders/.git/config",
        "C:/x.py",
        "orders/a\nb.py",
        "orders/é.py",
        "other.py",
        "README.md",
        "ORDERS.PY",
        "/".join(["orders"] * 40) + "/x.py",
        "orders/" + "x" * 200,
    ],
)
def test_paths_that_could_lie_outside_or_belong_to_nothing_are_refused(path: str) -> None:
    with pytest.raises(Invalid):
        opened(zipped(path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "raw",
    [
        lambda: zipped("orders.yaml", b"/etc/passwd", mode=stat.S_IFLNK | 0o777),
        lambda: zipped("orders.yaml", mode=stat.S_IFIFO | 0o666),
        lambda: zipped("orders.yaml", twice=True),
        lambda: b"no zip at all",
        lambda: packed(FILES)[:-30],
        lambda: b"",
    ],
)
def test_what_is_no_archive_of_plain_files_is_refused(raw: Callable[[], bytes]) -> None:
    with pytest.raises(Invalid):
        opened(raw())


def test_a_flipped_byte_is_found() -> None:
    raw = bytearray(packed(FILES))
    raw[raw.index(b"x = 1")] ^= 1

    with pytest.raises(Invalid, match="CRC"):
        opened(bytes(raw))


def test_a_bomb_is_not_unpacked() -> None:
    raw = zipped("orders.yaml", bytes(bounds.BUNDLE_UNPACKED_BYTES_MAX + 1))

    assert len(raw) < 100_000
    with pytest.raises(TooLarge):
        opened(raw)


def test_a_bomb_that_lies_about_its_size_is_not_unpacked() -> None:
    raw = zipped("orders.yaml", bytes(bounds.BUNDLE_UNPACKED_BYTES_MAX + 1))
    said = (bounds.BUNDLE_UNPACKED_BYTES_MAX + 1).to_bytes(4, "little")

    with pytest.raises((Invalid, TooLarge)):
        opened(raw.replace(said, (10).to_bytes(4, "little")))


def test_too_many_files_are_refused() -> None:
    files = {f"orders/f{number}.py": b"" for number in range(bounds.BUNDLE_FILES_MAX)}
    with pytest.raises(TooLarge):
        packed({"orders/__init__.py": b"", **files})


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"orders.yaml": b""},
        {"a.py": b"", "b.py": b""},
        {"a.py": b"", "b/__init__.py": b""},
        {"orders.py": b"", "orders/__init__.py": b""},
        {"orders.py": b"", "orders/x.py": b""},
        {"two words.py": b""},
        {"orders/__init__.py": b"", "orders/A.py": b"", "orders/a.py": b""},
        {"orders/__init__.py": b"", "orders/x": b"", "orders/x/y": b""},
    ],
)
def test_what_is_no_single_plugin_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(Invalid):
        packed(files)
