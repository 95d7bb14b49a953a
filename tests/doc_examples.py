"""The examples of a page of the documentation, run as they stand, one after the other.

A fenced block marked ``sh`` or ``python`` is an example. A block ``text`` right behind one is what
it prints: each of its lines in this order, ``…`` for anything. What cannot be run here says why,
in a comment above it: ``<!-- not run: it deletes the cluster -->``.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN_HERE = (
    "README.md",
    "README.zh.md",
    "docs/how-to/http.md",
    "docs/how-to/faq.md",
    "docs/how-to/openai.md",
    "docs/how-to/websocket.md",
)
"""Pages that ``tests/integration/test_doc_examples.py`` runs."""
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n+)?"
    r"(?P<indent>[ ]*)```(?P<kind>sh|python)\n(?P<code>.*?)\n(?P=indent)```"
    r"(?:\n(?P=indent)```text\n(?P<shown>.*?)\n(?P=indent)```)?",
    re.DOTALL,
)
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


def examples_of(page: Path) -> list[Example]:
    """Return the examples of a page, in its order."""
    text = page.read_text("utf-8")
    return [
        Example(
            kind=found["kind"],
            code=_outdented(found["code"], found["indent"]),
            shown=tuple(_outdented(found["shown"] or "", found["indent"]).splitlines()),
            line=text.count("\n", 0, found.start("code")) + 1,
            not_run=found["reason"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def run_shell(examples: list[Example], *, url: str, folder: Path, data: Path) -> Iterator[str]:
    """Run the examples in one shell, as a reader would; yield what is not as the page says."""
    script = ["set -eu", "set -o pipefail"]
    for number, example in enumerate(examples):
        script += [f"printf '\\n{_MARK} {number}\\n'", example.code.replace(_ADDRESS, url)]
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


def _outdented(text: str, indent: str) -> str:
    return "\n".join(line.removeprefix(indent) for line in text.splitlines())
