"""NOTICE names everything of others that is in the tree or is fetched, with its licence."""

import re
from collections.abc import Iterator
from pathlib import Path

from kotaemon_node.adapters.encoder.catalogue import MODELS
from kotaemon_node.adapters.encoder.use import USE_NAME
from scripts.sbom import vendored

ROOT = Path(__file__).parents[2]
NOTICE = (ROOT / "NOTICE").read_text("utf-8")
FOLDERS = (
    *("coordinator", "deploy", "docs", "helm", "kotaemon_node", "load", "sample", "scripts"),
    "tests",
)
# What somebody else's file says of itself. "License" alone would find our own words about it.
FOREIGN = re.compile(
    r"Copyright|\(c\) (19|20)\d\d|\bSPDX-|\bMIT\b|\bBSD-|\bCDDL|\bGPL-|\bOFL-|\bMPL-|\bCC.BY"
    r"|Apache-2\.0|Apache License|jonhoo/inferno"
)
# They speak of a licence, and hold nothing of anybody else.
OURS = {
    "deploy/Dockerfile",
    "helm/kotaemon/Chart.yaml",
    "kotaemon_node/api/openapi.py",
    "kotaemon_node/web/VENDOR.md",
    "tests/js/package-lock.json",
    "tests/unit/test_notice.py",
    "tests/unit/test_wheel.py",
}


def files() -> Iterator[Path]:
    """Yield the files of the project, without what tests fetch and Python makes."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts):
                yield path


def named(path: Path) -> bool:
    """Tell whether NOTICE names a file or a folder above it."""
    shown = path.relative_to(ROOT)
    return any(str(one) in NOTICE for one in (shown, *shown.parents[:-1]) if len(one.parts) > 2)


def test_every_vendored_file_of_the_page_has_its_line() -> None:
    lines = NOTICE.splitlines()
    for file, package, version, licence, _, _ in vendored():
        line = next((line for line in lines if line.split()[:1] == [file]), "")
        assert f"{package} {version}" in line, file
        assert licence in line, file


def test_every_file_that_speaks_of_a_licence_is_named() -> None:
    strange = [
        str(path.relative_to(ROOT))
        for path in files()
        if path.suffix not in {".png", ".woff2"}
        and (path.suffix, path.parts[len(ROOT.parts)]) != (".md", "docs")  # pages, written here
        and FOREIGN.search(path.read_text("utf-8", errors="replace"))
        and not named(path)
    ]

    assert set(strange) - OURS == set()


def test_every_binary_file_is_a_picture_of_ours_or_is_named() -> None:
    for path in files():
        if path.parent == ROOT / "docs" / "images" and path.suffix == ".png":
            continue  # screenshots, made by tests/browser/take_pictures.py
        if b"\0" in path.read_bytes()[:8192]:
            assert path.name in NOTICE, path


def test_all_that_is_fetched_is_named() -> None:
    for name in (*(model.name for model in MODELS), USE_NAME):
        assert re.search(rf"^  {re.escape(name)} .* (Apache-2\.0|MIT)$", NOTICE, re.M), name
    assert "Apache Kafka" in NOTICE


def test_no_line_names_a_file_that_is_gone() -> None:
    said = re.findall(r"(?:kotaemon_node|tests|docs|sample|load)/[\w./-]*\w", NOTICE)
    assert said
    assert [path for path in said if not (ROOT / path).exists()] == []
