"""Each command that a message, a docstring or a page of the product names is there."""

import re
from pathlib import Path

import pytest

from tests.doc_examples import ROOT
from tests.documented.programs import kotaemon_problems

_QUOTED = re.compile(r"`kotaemon ([a-z][^`\n]*)`")
_ON_A_PAGE = re.compile(r"kotaemon ((?:[a-z-]+ ?)+)")
"""Texts of pages are shown as they are, so nothing marks where a command ends."""

SOURCES = sorted((*ROOT.glob("kotaemon_node/**/*.py"), *ROOT.glob("coordinator/**/*.py")))
WORDS = sorted(ROOT.glob("kotaemon_node/web/assets/words-*.js"))


def told(file: Path) -> list[tuple[str, ...]]:
    """Return the commands that a source names, with a NAME for each value that is filled in."""
    text = re.sub(r"\{[^}`]*\}", "NAME", file.read_text("utf-8"))
    return [tuple(said.split()) for said in _QUOTED.findall(text)]


def test_commands_in_messages_are_there() -> None:
    problems = [
        f"{file.relative_to(ROOT)}: {problem}"
        for file in SOURCES
        for words in told(file)
        for problem in kotaemon_problems(words, whole=False)
    ]

    assert not problems, "\n".join(problems)
    assert sum(len(told(file)) for file in SOURCES) > 50


@pytest.mark.parametrize("file", WORDS, ids=lambda file: file.stem)
def test_commands_on_pages_are_there(file: Path) -> None:
    for said in _ON_A_PAGE.findall(file.read_text("utf-8")):
        words = tuple(said.split())
        # As many of the words as are a command, two where the first is a group of them.
        problems = [list(kotaemon_problems(words[:many], whole=False)) for many in (1, 2)]
        assert not problems[0], problems
        assert len(words) == 1 or not problems[1] or "unexpected extra" in problems[1][0], problems
