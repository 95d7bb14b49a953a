"""The beginning of a plugin: module, manifest and a test, written for a name."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_FILES: Final = (
    ("plugin.py.txt", "{name}.py"),
    ("plugin.yaml.txt", "{name}.yaml"),
    ("test_plugin.py.txt", "tests/test_{name}.py"),
)
"""Template, and where it comes to lie. A test lies where nobody takes it for a plugin."""


def write_template(folder: Path, name: str) -> Sequence[Path]:
    """Write the files of a plugin called ``name`` below ``folder``, and return them.

    Raises ``ValueError`` for a name that Python or a plugin cannot have, and ``FileExistsError``
    where one of the files is there: then nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.100} is no name for a plugin: letters, digits and _")
    words = {
        "@name@": name,
        "@Class@": "".join(part.capitalize() for part in name.split("_")) or "Plugin",
    }
    wanted = [(source, folder / target.format(name=name)) for source, target in _FILES]
    for _, path in wanted:
        if path.exists():
            raise FileExistsError(f"{path} is there already")
    for source, path in wanted:
        text = (Path(__file__).parent / source).read_text("utf-8")
        for mark, word in words.items():
            text = text.replace(mark, word)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return [path for _, path in wanted]
