"""Writes the list of modules that a page fetches at once: ``python -m scripts.page_modules``.

Without the list a browser finds modules only inside others, one trip after another.
"""

import re
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).resolve().parents[1] / "kotaemon_node" / "web"
PAGES: Final = {"index.html": "assets/main.js", "admin.html": "assets/admin/main.js"}

_IMPORT: Final = re.compile(r'(?:^|\n)(?:import|export)\b[^;]*?["\'](\.[^"\']+)["\']')
_PRELOADS: Final = re.compile(r'(?: *<link rel="modulepreload"[^>]*>\n)+')


def modules_of(entry: str) -> list[str]:
    """Return all modules that one needs, sorted, without itself; paths below ``web``."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        folder = (WEB / name).parent
        for said in _IMPORT.findall((WEB / name).read_text(encoding="utf-8")):
            path = (folder / said).resolve().relative_to(WEB).as_posix()
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found - {entry})


def main() -> None:
    """Write the lists."""
    for page, entry in PAGES.items():
        rows = "".join(
            f'    <link rel="modulepreload" href="/{name}">\n' for name in modules_of(entry)
        )
        file = WEB / page
        file.write_text(_PRELOADS.sub(rows, file.read_text(), count=1))


if __name__ == "__main__":
    main()
