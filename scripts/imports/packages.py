"""The packages of the product and what they import, read from the code."""

from collections.abc import Iterator, Mapping
from typing import Final

import grimp

ROOTS: Final = ("kotaemon_node", "coordinator", "load")
# The settings are one thing; that they are several files is for their length alone.
_TOGETHER: Final = "settings"
# What authors test plugins with lies beside what plugins are made of, and runs a pod's parts in the
# author's own process. Nothing of a plugin's process imports it.
EXCEPT: Final = "kotaemon_node.plugins.testing"

Imports = Mapping[str, frozenset[str]]
"""Package to those that it imports."""


def modules() -> grimp.ImportGraph:
    """Return the imports between all modules, those for types alone among them."""
    return grimp.build_graph(*ROOTS, cache_dir=None)


def package_of(module: str) -> str:
    """Return what stands for a module in the picture; "" where nothing does."""
    root, _, below = module.partition(".")
    if root != "kotaemon_node":
        return root
    name = below.partition(".")[0]
    return _TOGETHER if name.startswith(f"{_TOGETHER}_") else name


def imports_of(graph: grimp.ImportGraph) -> Imports:
    """Return what each package imports, besides itself."""
    found: dict[str, set[str]] = {package_of(module): set() for module in graph.modules}
    for importer in graph.modules - {EXCEPT}:
        for imported in graph.find_modules_directly_imported_by(importer):
            found[package_of(importer)].add(package_of(imported))
    found.pop("")
    return {name: frozenset(others - {name, ""}) for name, others in found.items()}


def unimplied(imports: Imports) -> Iterator[tuple[str, str]]:
    """Yield the imports that do not follow from others: ``a`` to ``c`` does from ``b`` between."""
    for name, direct in sorted(imports.items()):
        further = frozenset[str]().union(*(_reached(imports, other) for other in direct))
        yield from ((name, other) for other in sorted(direct - further))


def _reached(imports: Imports, name: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in imports[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return frozenset(found)


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the modules that import each other in a circle, a list for each circle."""
    rest = {name: set(graph.find_modules_directly_imported_by(name)) for name in graph.modules}
    # What imports nothing of the rest, or is imported by nothing of it, is in no circle.
    while True:
        imported = set().union(*rest.values()) if rest else set()
        gone = {name for name, others in rest.items() if not others or name not in imported}
        if not gone:
            break
        rest = {name: others - gone for name, others in rest.items() if name not in gone}
    found: list[list[str]] = []
    while rest:
        frozen = {name: frozenset(others) for name, others in rest.items()}
        one = min(frozen)
        round_it = {name for name in _reached(frozen, one) if one in _reached(frozen, name)}
        if round_it:
            found.append(sorted(round_it))
        gone = round_it or {one}
        rest = {name: others - gone for name, others in rest.items() if name not in gone}
    return found
