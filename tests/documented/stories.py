"""Runs blocks of pages one after the other in one shell, as a reader would, with its own clusters.

``kotaemon up`` gets ports of its own, two workers and ``--detach``; the rest is typed as it stands,
with what only a reader can know put in its place (``Story.replaced``).
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kotaemon_node.local.ports import choose_block
from tests.cluster import foreign_to_settings
from tests.documented.blocks import SHELLS, Block, blocks_of, shown_by, typed

BY = "integration/test_doc_stories.py"
"""The test that runs stories, as the catalogue names it."""
_SECONDS = 420
_MARK = "@@@ block"
_SHIM = """#!/bin/sh
if [ "$1" = up ]; then set -- "$@" --port {port} --workers 2 --detach; fi
exec {python} -m kotaemon_node.cli.main "$@"
"""


@dataclass(frozen=True, slots=True)
class Own:
    """Lines of the test's own between the blocks: what a reader has, or does meanwhile."""

    shell: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A block that readers save as a file; it stands below others on its page, or is no shell's."""

    page: str
    begins: str
    file: str


@dataclass(frozen=True, slots=True)
class Page:
    """The blocks of a page that stories run, in their order; or those that begin so."""

    name: str
    begins: tuple[str, ...] = ()

    def blocks(self) -> list[Block]:
        """Return them; a beginning that no block has is an error."""
        found = [it for it in shown_by(BY, self.name) if it.kind in {*SHELLS, "python"}]
        if not self.begins:
            return found
        return [next(it for it in found if it.text.startswith(start)) for start in self.begins]


Step = Own | Saved | Page


@dataclass(frozen=True, slots=True)
class Story:
    """What is typed, in order; texts of the pages that a test replaces, with ``$NAME`` of a shell.

    The shell knows ``PORT`` and ``URL`` of the cluster, and ``PORT_A`` and ``PORT_B``, both free.
    """

    steps: tuple[Step, ...]
    replaced: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    printed: Sequence[str] = ()
    """What the whole has to print, in this order; ``…`` for anything."""

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield each block that is run, as page and text."""
        for step in self.steps:
            if isinstance(step, Page):
                yield from ((step.name, block.text) for block in step.blocks())
            if isinstance(step, Saved):
                yield step.page, _saved(step).text


@dataclass(frozen=True, slots=True)
class Told:
    """What a story printed, and the end of what it complained of; ``at``: the block it ended in."""

    code: int
    printed: str
    complained: str
    at: str


def told(story: Story, folder: Path) -> Told:
    """Run a story in an empty folder and stop what it started."""
    port, first, second = choose_block(1), choose_block(1), choose_block(1)
    environment = {
        **{
            name: text
            for name, text in foreign_to_settings(os.environ).items()
            if not name.startswith("KOTAEMON_")
        },
        **_programs(folder, port),
        "HOME": str(folder),
        "PORT": str(port),
        "URL": f"http://127.0.0.1:{port}",
        "PORT_A": str(first),
        "PORT_B": str(second),
        **story.environment,
    }
    lines = ["set -eu", "set -o pipefail"]
    for step in story.steps:
        lines += _lines(step, story, folder)
    try:
        done = subprocess.run(
            ["bash", "-c", "\n".join(lines)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    finally:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                ["kotaemon", "down"], cwd=folder, env=environment, capture_output=True,
                timeout=60, check=False,
            )  # fmt: skip
    places = re.findall(rf"(?m)^{_MARK} (.*)$", done.stdout)
    printed = re.sub(rf"(?m)^{_MARK} .*\n", "", done.stdout)
    return Told(done.returncode, printed, done.stderr[-1_500:], places[-1] if places else "")


def _lines(step: Step, story: Story, folder: Path) -> Iterator[str]:
    if isinstance(step, Own):
        yield step.shell
    elif isinstance(step, Saved):
        file = folder / step.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_saved(step).text + "\n", "utf-8")
    else:
        for block in step.blocks():
            yield f"printf '\\n{_MARK} {block.where}\\n'"
            yield _runnable(block, story.replaced, folder)


def _runnable(block: Block, replaced: Mapping[str, str], folder: Path) -> str:
    text = typed(block).replace("http://127.0.0.1:8080", "$URL")
    for old, new in replaced.items():
        text = text.replace(old, new)
    if block.kind != "python":
        return text
    file = folder / f"block-{block.line}.py"
    named = "import os\n" + re.sub(r"\$([A-Z_]+)", r'" + os.environ["\1"] + "', text)
    file.write_text(named, "utf-8")
    return f"python {file.name}"


def _saved(step: Saved) -> Block:
    return next(it for it in blocks_of(step.page) if it.text.startswith(step.begins))


def _programs(folder: Path, port: int) -> Mapping[str, str]:
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    shims = {
        "kotaemon": _SHIM.format(port=port, python=sys.executable),
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
    }
    for name, text in shims.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
