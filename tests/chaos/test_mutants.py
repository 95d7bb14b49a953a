"""The proof has teeth: a system that breaks one of its own rules is found out by the run.

A mutant is a copy of the tree with one place changed, never a switch in the product.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREE = ("kotaemon_node", "coordinator", "load", "tests", "sample")
KILLS = "kill_worker,kill_in_series"
RUN_S = 400


@dataclass(frozen=True)
class Change:
    """In this file, this text stands once and is replaced."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A broken system, the faults that show it, and the rules of which one must be red."""

    name: str
    changes: Sequence[Change]
    rules: frozenset[str]
    faults: str = KILLS
    token_ms: int = 30


APPEND = "kotaemon_node/adapters/redis/lua/append.lua"
COMMIT = "kotaemon_node/adapters/redis/lua/commit.lua"
CLAIM = "kotaemon_node/adapters/redis/lua/claim.lua"
GROUP = "kotaemon_node/engine/group_commit.py"
EXECUTION = "kotaemon_node/engine/execution.py"
WRITING = "kotaemon_node/engine/writing.py"
ANSWERING = "kotaemon_node/engine/answering.py"
# What one reader saw under a number is not what another one sees, or its text does not fit.
FRAMES = frozenset({"readers_agree", "text_is_the_answer", "sequence_is_whole", "terminal_is_one"})

MUTANTS = (
    Mutant(
        "the fence is off",
        (
            Change(APPEND, "if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3]", "if held[3]"),
            Change(COMMIT, "if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3]", "if held[3]"),
        ),
        FRAMES,
        faults="freeze_worker",
        token_ms=150,
    ),
    Mutant(
        "a frame is shown before it is stored",
        (
            Change(
                GROUP,
                "            errors = self._log.append(batches)\n",
                "            for outbox in outboxes:\n"
                "                outbox.show(outbox.stored())\n"
                "            self._clock.sleep(0.1)\n"
                "            errors = self._log.append(batches)\n",
            ),
            Change(
                GROUP,
                "            with self.lock:\n"
                "                frames = outbox.stored()\n"
                "            outbox.show(frames)\n",
                "",
            ),
        ),
        FRAMES,
    ),
    Mutant(
        "the end is told before it is committed",
        (
            Change(
                EXECUTION,
                "        committed = persistently(\n",
                "        early = replace(turn, version=work.session.version + 1)\n"
                "        live.publish([terminal_frame(early, seq=ending.seq)])\n"
                "        self.clock.sleep(1.0)\n"
                "        committed = persistently(\n",
            ),
            Change(
                EXECUTION, "        live.publish([terminal_frame(shown, seq=ending.seq)])\n", ""
            ),
        ),
        FRAMES,
    ),
    Mutant(
        "a turn that has ended is not recognised",
        (Change(CLAIM, "if known then\n", "if known and not string.find(known, ':') then\n"),),
        frozenset({"turn_is_once"}),
    ),
    Mutant(
        "a takeover forgets the last frame",
        (
            Change(
                WRITING,
                "        self._shown = assembled_text(stored)\n",
                "        self._shown = assembled_text(stored[:-1])\n",
            ),
        ),
        frozenset({"text_is_the_answer"}),
    ),
    Mutant(
        "a takeover searches again",
        (Change(ANSWERING, "known = out.decided(RETRIEVAL)", "known = None"),),
        frozenset({"citations_are_of_one_generation"}),
        token_ms=60,
    ),
)


@pytest.mark.long
@pytest.mark.timeout(RUN_S + 60)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_out(tmp_path: Path, mutant: Mutant) -> None:
    tree = tmp_path / "tree"
    for name in TREE:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    (tree / ".models").symlink_to(ROOT / ".models")
    for change in mutant.changes:
        text = (tree / change.file).read_text("utf-8")
        assert text.count(change.old) == 1, f"{change.file} has changed: {change.old!r}"
        (tree / change.file).write_text(text.replace(change.old, change.new), "utf-8")

    out = tmp_path / "chaos"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "load.chaos", "--seconds", "40", "--writers", "8"),
            *("--faults", mutant.faults, "--token-ms", str(mutant.token_ms), "--out", str(out)),
        ],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert out.with_suffix(".json").exists(), done.stdout + done.stderr
    found = json.loads(out.with_suffix(".json").read_text("utf-8"))
    red = {violation.partition(":")[0] for violation in found["violations"]}
    print(f"{mutant.name}: {sorted(red)}, {len(found['violations'])} violations")
    assert red & mutant.rules, done.stdout
