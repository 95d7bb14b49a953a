"""Whether modules, their options, and packages that a page names are there."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.documented.blocks import ROOT
from tests.documented.shell import Command

_MODULES_OF_OTHERS = {"pytest", "grpc_tools.protoc"}


def python_problems(command: Command) -> Iterator[str]:
    """Yield a module, an option of one, or a file that is not there."""
    words = command.words
    if "-m" in words:
        module, *given = words[words.index("-m") + 1 :]
        if module not in _MODULES_OF_OTHERS:
            yield from _module_problems(module, given)
    elif not (words[1].startswith(("-", "first/")) or (ROOT / words[1]).is_file()):
        yield f"no file {words[1]}"


def _module_problems(module: str, given: list[str]) -> Iterator[str]:
    try:
        known = find_spec(module) is not None
    except ModuleNotFoundError:
        known = False
    if not known:
        yield f"no module {module}"
        return
    text = _sources(_folder_of(module, given))
    for option in (it.partition("=")[0] for it in given if it.startswith("-")):
        if f'"{option}"' not in text:
            yield f"python -m {module} has no {option}"


def _folder_of(module: str, given: list[str]) -> Path:
    """Return the file of a module, or the folder of a package, or of its part that is named."""
    spec = find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations is None:
        assert spec.origin is not None
        return Path(spec.origin)
    folder = Path(next(iter(spec.submodule_search_locations)))
    part = folder / given[0] if given else folder
    return part if part.is_dir() else folder


@cache
def _sources(place: Path) -> str:
    """Return the text that declares options: starting each program for its help takes seconds."""
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return "\n".join(file.read_text("utf-8") for file in files)


def locust_problems(command: Command) -> Iterator[str]:
    """Yield an option that neither Locust nor the file of scenarios has."""
    file = ROOT / command.words[command.words.index("-f") + 1]
    own = find_spec("locust")
    assert own is not None
    assert own.origin is not None
    known = _sources(file) + _sources(Path(own.origin).with_name("argument_parser.py"))
    for option in (it for it in command.words[1:] if it.startswith("-")):
        if f'"{option}"' not in known:
            yield f"locust -f {file} has no {option}"


def pip_problems(command: Command) -> Iterator[str]:
    """Yield what nothing of ours needs, and extras that the project does not have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    rows = [project["dependencies"], *extras.values()]
    needed = {re.match(r"[\w.-]+", it)[0] for row in rows for it in row}  # type: ignore[index]
    for word in (it for it in command.words[2:] if not it.startswith("-")):
        found = re.fullmatch(r"(?P<name>[\w.-]+)(?:\[(?P<extra>[\w,]+)\])?(?:==.*)?", word)
        if word.startswith("dist/"):
            continue  # what `make wheel` made
        if found is None or found["name"] not in {".", project["name"], *needed}:
            yield f"pip install {word}: nothing of ours needs that"
        elif found["extra"] and not set(found["extra"].split(",")) <= extras.keys():
            yield f"pip install {word}: no such extra"
