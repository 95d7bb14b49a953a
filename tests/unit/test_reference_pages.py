"""Tables of the reference that no other test compares: formats, faults, plugins, signing keys."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kotaemon_node.adapters.documents import endings
from kotaemon_node.chaos.faults import FAULTS
from kotaemon_node.cli.chaos import DEFAULT
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.plugins import BasePlugin
from kotaemon_node.telemetry.known_labels import KNOWN_REFUSALS
from load.chaos.faults import usual
from load.chaos.stores import STORES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def section(page: str, heading: str) -> str:
    text = (REFERENCE / page).read_text("utf-8")
    return next(part for part in text.split("\n## ") if part.startswith(f"{heading}\n"))


def cells(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables in a text, heads left out."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    for line in lines:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_formats_are_those_that_are_read() -> None:
    head = (REFERENCE / "formats.md").read_text("utf-8").partition("\n**FAQ tables")[0]
    told = [ending for row in cells(head) for ending in re.findall(r"`(\.[\w.]+)`", row[1])]

    assert sorted(told) == sorted(endings.SUPPORTED_ENDINGS)


def test_formats_to_be_saved_as_others_are_refused_with_that_advice() -> None:
    rows = list(cells(section("formats.md", "What is refused, with a reason")))
    save_as = next(row for row in rows if ".doc`" in row[0])
    names, others = (re.findall(r"`(\.\w+)`", cell) for cell in save_as)
    asked = [endings.unsupported(f"report{name}") for name in names]

    assert len(names) == 8
    for refusal in asked:
        assert isinstance(refusal, DocumentRefused)
        assert re.findall(r"save it as (\.\w+)", str(refusal))[0] in others


def faults(text: str) -> dict[str, tuple[str, bool]]:
    """Return name → (number, done when none is named) of the table of faults."""
    return {
        name: (row[0], bool(star))
        for row in cells(text)
        for name, star in re.findall(r"`(\w+)`( \*)?", row[1])
    }


def test_faults_of_a_running_cluster() -> None:
    table = faults(section("chaos.md", "Faults").partition("`make chaos` has these too")[0])

    assert table == {name: (one.number, name in DEFAULT) for name, one in FAULTS.items()}


def test_faults_of_a_cluster_made_for_them() -> None:
    both = faults(section("chaos.md", "Faults"))
    everywhere = {name for kind in STORES for name in usual(kind)}

    assert both.keys() == everywhere | {"wipe_redis"}


def test_plugins_are_told_of_every_attribute() -> None:
    told = re.findall(r"^\| `(?:self\.)?(\w+)", section("plugins.md", "The class"), re.M)
    own = {
        name
        for name in {*vars(BasePlugin), *BasePlugin.__annotations__}
        if not name.startswith("_")
    }

    assert own <= set(told)


@pytest.mark.parametrize("reason", KNOWN_REFUSALS)
def test_every_reason_for_refusing_a_generation_is_explained(reason: str) -> None:
    rows = {
        row[0]: row for row in cells(section("signing-keys.md", "When a generation is refused"))
    }

    assert all(len(cell) > 5 for cell in rows[f"`{reason}`"][1:])
