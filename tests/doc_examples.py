"""The examples of a page of the documentation, run as they stand, one after the other.

A fenced block marked ``sh`` or ``python`` is an example. A block ``text`` right behind one is what
it prints: each of its lines in this order, ``…`` for anything. What cannot be run here says why,
in a comment above it: ``<!-- not run: it deletes the cluster -->``. Which test runs which block
stands in ``documented/blocks.yaml``.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from tests.documented.blocks import blocks_in

ROOT = Path(__file__).resolve().parents[1]
# An answer of 4xx or 5xx is an error, except where the page shows what is printed.
_STRICT = 'curl() { command curl --fail-with-body "$@"; }'
_LENIENT = "unset -f curl"
_MARK = "@@@ example"
_SECONDS = 120
_ADDRESS = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Example:
    """A block: its code, what it prints (no lines: nothing is said of it), why it is not run."""

    kind: str
    code: str
    shown: tuple[str, ...]
    line: int
    not_run: str


def examples_of(page: Path, kinds: tuple[str, ...] = ("sh", "python")) -> list[Example]:
    """Return the examples of a page, in its order."""
    found: list[Example] = []
    behind = 0
    for block in blocks_in(page.read_text("utf-8"), page=page.name):
        if block.kind in kinds:
            found.append(Example(block.kind, block.text, (), block.line + 1, block.not_run))
            behind = block.line + block.text.count("\n") + 3
        elif block.kind == "text" and block.line == behind:
            found[-1] = replace(found[-1], shown=tuple(block.text.splitlines()))
    return found


def run_shell(examples: list[Example], *, url: str, folder: Path, data: Path) -> Iterator[str]:
    """Run the examples in one shell, as a reader would; yield what is not as the page says."""
    script = ["set -eu", "set -o pipefail"]
    for number, example in enumerate(examples):
        script += [
            _LENIENT if example.shown else _STRICT,
            f"printf '\\n{_MARK} {number}\\n'",
            example.code.replace(_ADDRESS, url),
        ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=_environment(url, folder, data),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    parts = re.split(rf"(?m)^{_MARK} \d+\n", done.stdout)[1:]
    if done.returncode:
        at = examples[max(0, len(parts) - 1)].line
        yield f"line {at}: ended with {done.returncode}: {done.stderr[-600:]}"
    for example, printed in zip(examples, parts, strict=False):
        for missing in not_printed(example.shown, printed):
            yield f"line {example.line}: {missing!r} is not in\n{printed[:1_500]}"


def run_python(examples: list[Example], *, url: str, folder: Path, data: Path) -> Iterator[str]:
    """Run the examples as one program; yield what is not as the page says.

    What stands behind a ``print`` is what it prints.
    """
    code = "\n".join(example.code for example in examples)
    code = code.replace(_ADDRESS, url).replace(
        _ADDRESS.replace("http", "ws"), url.replace("http", "ws")
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=_environment(url, folder, data),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        yield f"ended with {done.returncode}: {done.stderr[-600:]}"
        return
    wanted = re.findall(r"(?m)^\s*print\(.*\)\s+# (.*)$", code)
    for missing in not_printed(tuple(wanted), done.stdout):
        yield f"{missing!r} is not in\n{done.stdout[:1_500]}"


def run_javascript(examples: list[Example], *, url: str, folder: Path) -> Iterator[str]:
    """Run the examples as one program, with the packages of ``tests/js`` at hand."""
    node, packages = shutil.which("node"), ROOT / "tests" / "js" / "node_modules"
    if node is None or not (packages / "openai").is_dir():
        return  # `make install` gets them; the suite says what it lacks
    (folder / "node_modules").symlink_to(packages)
    code = "\n".join(example.code for example in examples).replace(_ADDRESS, url)
    (folder / "program.mjs").write_text(code)
    done = subprocess.run(
        [node, "program.mjs"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        yield f"ended with {done.returncode}: {done.stderr[-600:]}"


def run_talk(talk: str, *, url: str) -> Iterator[str]:
    """Say each line at the margin; yield the answers that are not those shown, indented, below."""
    for part in re.split(r"(?m)^(?=\S)", talk)[1:]:
        said, *shown = part.splitlines()
        body = {"session_id": "a-talk-of-a-page", "message": said}
        answer = requests.post(f"{url}/chat", json=body, timeout=_SECONDS).json()["response"]
        if " ".join(answer.split()) != " ".join(" ".join(shown).split()):
            yield f"{said!r} is answered {answer!r}"


def not_printed(shown: tuple[str, ...], printed: str) -> Iterator[str]:
    """Yield the first line shown that is not printed behind those before it."""
    place = 0
    for line in shown:
        pattern = ".*?".join(re.escape(part) for part in line.split("…"))
        found = re.compile(pattern).search(printed, place)
        if found is None:
            yield line
            return
        place = found.end()


def typing_in(folder: Path) -> dict[str, str]:
    """Return the environment in which the pages' way to name the program leads to this tree's."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    program = programs / "kotaemon"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kotaemon_node.cli.main "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "COLUMNS": "100",
    }


def _environment(url: str, folder: Path, data: Path) -> Mapping[str, str]:
    return {**typing_in(folder), "KOTAEMON_URL": url, "KOTAEMON_DATA": str(data)}
