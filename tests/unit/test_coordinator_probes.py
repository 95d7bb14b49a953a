"""Probe sets: read strictly, and what is wrong with one is said."""

import os
from pathlib import Path

import pytest

from coordinator.folder import KnowledgeFolder
from coordinator.probes import Probe, ProbeSet, read_probes
from kotaemon_node.domain import limits
from tests.fakes.knowledge_ports import HandClock

GOOD = "probes:\n- question: How long?\n  documents: [a.md, shop/b.md]\n  phrase: 30 days\n"


def read(root: Path, text: str | bytes, *, kb: str = "default") -> ProbeSet:
    path = root / (".probes.yaml" if kb == "default" else f"{kb}/.probes.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_probes(KnowledgeFolder(root, clock=HandClock()), kb)


@pytest.mark.parametrize("kb", ["default", "shop"])
def test_a_probe_set_lies_beside_its_documents_and_is_none(tmp_path: Path, kb: str) -> None:
    found = read(tmp_path, GOOD, kb=kb)
    assert found.probes == (Probe("How long?", ("a.md", "shop/b.md"), "30 days"),)
    assert (found.problem, len(found.digest)) == (None, 64)
    scan = KnowledgeFolder(tmp_path, clock=HandClock()).scan()
    assert (scan.files, list(scan.pending), scan.ignored) == ({}, [], {})


def test_no_file_is_no_probes(tmp_path: Path) -> None:
    assert read_probes(KnowledgeFolder(tmp_path, clock=HandClock()), "default") == ProbeSet()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("probes: [", "it is not YAML without aliases (line 1)"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
        ("", "file: "),
        ("- question: a", "file: "),
        ("probes:\n- question: a\n", "probes.0.documents: Field required"),
        ("probes:\n- question: ' '\n  documents: [a]\n", "must not be blank"),
        ("probes:\n- question: 30\n  documents: [a]\n", "probes.0.question: Input should be"),
        ("probes:\n- question: a\n  documents: []\n", "probes.0.documents: List should have"),
        ("probes:\n- question: a\n  documents: [a]\n  k: 3\n", "probes.0.k: Extra inputs"),
        ("probes: " + "[" * 20_000, "it is"),
        ('probes: !!int ""', "it has a value that cannot be read"),
        ('probes: !!timestamp "x"', "it has a value that cannot be read"),
        ("probes: !!bool x", "it has a value that cannot be read"),
        ("#" * (limits.PROBES_FILE_BYTES_MAX + 1), "it has more than 262144 bytes"),
        (
            "probes:\n" + "- {question: a, documents: [a]}\n" * (limits.PROBES_MAX + 1),
            "probes: List should have at most 200 items",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    found = read(tmp_path, text)
    assert found.probes == ()
    assert found.problem is not None
    assert f".probes.yaml: {told}" in found.problem or told in found.problem
    assert found.digest


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GOOD)
    root = tmp_path / "knowledge"
    root.mkdir()
    os.symlink(tmp_path / "secret", root / ".probes.yaml")
    found = read_probes(KnowledgeFolder(root, clock=HandClock()), "default")
    assert found.problem is not None
    assert "leaves the knowledge folder" in found.problem


def test_a_few_lines_that_stand_for_billions_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    for at in range(1, 30):
        merged = ", ".join([f"*a{at - 1}"] * 9)
        lines.append(f"a{at}: &a{at} {{<<: [{merged}]}}")
    found = read(tmp_path, "\n".join(lines))
    assert found.problem is not None
    assert "it is not YAML without aliases (line 2)" in found.problem
