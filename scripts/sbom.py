"""Adds to a bill of materials what no lock file of Python names: page files and encoder weights.

``python -m scripts.sbom <packages.json >all.json`` reads and writes CycloneDX 1.6 in JSON;
``--npm`` writes a package.json of the page's packages instead, for ``npm audit``.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kotaemon_node.adapters.encoder.catalogue import MODELS

ROOT: Final = Path(__file__).parents[1]
_CELLS: Final = 6


def vendored(page: Path = ROOT / "kotaemon_node/web/VENDOR.md") -> Iterator[tuple[str, ...]]:
    """Yield file, package, version, licence, path and sha256 of each file of the table."""
    for line in page.read_text("utf-8").splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("|") and len(cells) == _CELLS and len(cells[-1]) == 64:
            yield cells


def components() -> Iterator[Mapping[str, Any]]:
    """Yield what is shipped besides Python packages, as components of CycloneDX."""
    for file, package, version, licence, _, sha256 in vendored():
        name = package.replace("@", "%40")
        yield {
            "type": "library",
            "bom-ref": f"page-{file}",
            "name": package,
            "version": version,
            "purl": f"pkg:npm/{name}@{version}",
            "description": f"kotaemon_node/web/assets/vendor/{file}",
            "licenses": [{"expression": licence}],
            "hashes": [{"alg": "SHA-256", "content": sha256}],
        }
    for model in MODELS:
        for file in model.files:
            yield {
                "type": "machine-learning-model",
                "bom-ref": f"weights-{model.name}-{file.name}",
                "name": f"{model.name}/{file.name}",
                "version": model.hub.revision,
                "purl": f"pkg:huggingface/{model.hub.repo_id}@{model.hub.revision}",
                "hashes": [{"alg": "SHA-256", "content": file.sha256}],
            }


def whole(packages: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a bill with the packages and all that is shipped besides."""
    return {**packages, "components": [*packages.get("components", ()), *components()]}


def main() -> None:
    """Write what the command line asks for to standard output."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--npm", action="store_true")
    if arguments.parse_args().npm:
        pinned = {package: version for _, package, version, *_ in vendored()}
        told: Mapping[str, Any] = {"name": "page", "version": "0.0.0", "dependencies": pinned}
    else:
        told = whole(json.load(sys.stdin))
    json.dump(told, sys.stdout, indent=2, sort_keys=True)


if __name__ == "__main__":
    main()
