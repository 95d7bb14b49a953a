"""docs/images/imports.svg shows today's imports, and nothing imports itself in a circle."""

from functools import cache

import grimp
import pytest

from scripts.imports.__main__ import PICTURE
from scripts.imports.drawing import picture
from scripts.imports.map import ROWS
from scripts.imports.packages import circles, imports_of, modules, unimplied


@cache
def graph() -> grimp.ImportGraph:
    return modules()


def test_the_picture_is_of_todays_imports() -> None:
    assert PICTURE.read_text("utf-8") == picture(imports_of(graph())), "python -m scripts.imports"


def test_every_package_has_one_place() -> None:
    placed = [place.name for _, places in ROWS for place in places]

    assert sorted(placed) == sorted(imports_of(graph())), "scripts/imports/map.py"


def test_a_package_stands_above_all_that_it_imports() -> None:
    row = {place.name: number for number, (_, places) in enumerate(ROWS) for place in places}

    upwards = [
        f"{name} -> {other}"
        for name, others in imports_of(graph()).items()
        for other in others
        if row[name] >= row[other]
    ]

    assert upwards == []


def test_no_module_imports_itself_in_a_circle() -> None:
    # Imports for types alone count: two files that know each other cannot be read one by one.
    assert circles(graph()) == []


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ([("a", "b"), ("b", "c"), ("a", "c")], []),
        ([("a", "b"), ("b", "a"), ("b", "c")], [["a", "b"]]),
        ([("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")], [["a", "b"], ["c", "d"]]),
        (
            [("a", "b"), ("b", "a"), ("b", "x"), ("x", "c"), ("c", "d"), ("d", "c")],
            [["a", "b"], ["c", "d"]],
        ),
    ],
)
def test_circles_are_found_each_by_itself(
    imports: list[tuple[str, str]], found: list[list[str]]
) -> None:
    made = grimp.ImportGraph()
    for importer, imported in imports:
        made.add_import(importer=importer, imported=imported)

    assert circles(made) == found


def test_an_import_that_follows_from_others_is_not_drawn() -> None:
    chain = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset[str]()}

    assert list(unimplied(chain)) == [("a", "b"), ("b", "c")]
