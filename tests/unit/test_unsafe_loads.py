"""No line of the product runs, or parses unguarded, what others may have written.

The syntax trees of all Python files are walked: what names a danger is refused wherever it
stands, but in the one home that a danger may have, which says why.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TREES: Final = ("kotaemon_node", "coordinator", "load", "scripts")

MODULES: Final[Mapping[str, str]] = {
    "pickle": "runs what it reads",
    "cPickle": "runs what it reads",
    "dill": "runs what it reads",
    "cloudpickle": "runs what it reads",
    "joblib": "runs what it reads",
    "marshal": "crashes on what it reads",
    "shelve": "is pickle",
    "xml": "expands entities and fetches what documents name; lxml, told not to, doesn't",
    "telnetlib": "sends secrets in the clear",
    "ftplib": "sends secrets in the clear",
    "pty": "starts a shell",
}
CALLS: Final[Mapping[str, str]] = {
    "eval": "runs its text",
    "exec": "runs its text",
    "compile": "makes code of a text",
    "__import__": "loads what a text names",
    "os.system": "starts a shell",
    "os.popen": "starts a shell",
    "subprocess.getoutput": "starts a shell",
    "subprocess.getstatusoutput": "starts a shell",
    "asyncio.create_subprocess_shell": "starts a shell",
    "tempfile.mktemp": "names a file that another may make first",
    "yaml.load": "builds any object; yaml.safe_load doesn't",
    "yaml.load_all": "builds any object",
    "yaml.unsafe_load": "builds any object",
    "yaml.full_load": "builds many objects",
    "torch.load": "is pickle",
    "faiss.read_index": "trusts every length in a file",
    "faiss.deserialize_index": "trusts every length in its bytes",
    "ssl._create_unverified_context": "trusts everybody",
    "numpy.fromregex": "runs a pattern over files",
    "builtins.eval": "runs its text",
    "builtins.exec": "runs its text",
    "importlib.import_module": "loads what a text names",
}
OPTIONS: Final[Mapping[tuple[str, object], str]] = {
    ("shell", True): "starts a shell",
    ("allow_pickle", True): "is pickle",
    ("verify", False): "trusts every server",
    ("weights_only", False): "is pickle",
    ("trust_remote_code", True): "runs what a model brings along",
    ("resolve_entities", True): "expands entities",
    ("huge_tree", True): "has no bounds",
}
HOMES: Final[Mapping[tuple[str, str], str]] = {
    ("kotaemon_node/adapters/bundles/sources.py", "compile"): (
        "checks the syntax of a plugin's source and throws the code away"
    ),
    ("scripts/stable_surface.py", "importlib.import_module"): (
        "a list of our own packages in the same file"
    ),
    ("kotaemon_node/cli/commands.py", "importlib.import_module"): (
        "loads the command that was asked for, by a table in the same file"
    ),
    ("kotaemon_node/adapters/faiss/spaces.py", "faiss.read_index"): (
        "reads segments whose checksums a signed manifest holds, verified before"
    ),
    ("coordinator/probes.py", "yaml.load"): "with a SafeLoader of its own, which takes no aliases",
}
"""Where a danger may stand, and why it is none there."""


def dangers(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each danger in a Python source."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name: (f"{node.module}.{alias.name}" if of else alias.name)
        for node in ast.walk(tree)
        if (of := isinstance(node, ast.ImportFrom) and node.module) or isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in ast.walk(tree):
        yield from ((node.lineno, name) for name in _imported(node) if name in MODULES)
        if isinstance(node, ast.Call):
            if (name := _called(node.func, names)) in CALLS:
                yield node.lineno, name
            yield from ((node.lineno, option) for option in _options(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.split(".")[0]]
    return []


def _options(node: ast.Call) -> list[str]:
    given = [(it.arg or "", it.value.value) for it in node.keywords
             if isinstance(it.value, ast.Constant)]  # fmt: skip
    return [f"{name}={value}" for name, value in given if (name, value) in OPTIONS]


def _called(func: ast.expr, names: Mapping[str, str]) -> str:
    """Return what is called, by its full name, whatever it was imported as."""
    parts: list[str] = []
    while isinstance(func, ast.Attribute):
        parts.insert(0, func.attr)
        func = func.value
    if not isinstance(func, ast.Name):
        return ""
    return ".".join([names.get(func.id, func.id), *parts])


def test_no_unsafe_load_stands_outside_its_home() -> None:
    files = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))
    assert len(files) > 900
    found = {
        (path.relative_to(ROOT).as_posix(), name): line
        for path in files
        for line, name in dangers(path.read_text("utf-8"))
    }
    strange = {f"{file}:{line} {name}" for (file, name), line in found.items()
               if (file, name) not in HOMES}  # fmt: skip
    assert strange == set()
    assert set(HOMES) <= set(found), "a home without its danger: take it out of the list"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads as read", "pickle"),
        ("import xml.etree.ElementTree as tree", "xml"),
        ("def f(x):\n    return eval(x)", "eval"),
        ("import os as system\nsystem.system('ls')", "os.system"),
        ("from os import popen as p\np('ls')", "os.popen"),
        ("import yaml\nyaml.load(x, Loader=y)", "yaml.load"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "shell=True"),
        ("import numpy as np\nnp.load(f, allow_pickle=True)", "allow_pickle=True"),
        ("import requests\nrequests.get(u, verify=False)", "verify=False"),
        ("from faiss import read_index\nread_index('x')", "faiss.read_index"),
    ],
)
def test_each_kind_of_danger_is_seen(source: str, name: str) -> None:
    assert name in [found for _, found in dangers(source)]
