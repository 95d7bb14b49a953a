"""What is wrong at the doors that stream is refused there, and no neighbour notices.

Short: a sample of each door. Long: all of it, in rounds, with the memory that they leave.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from load.bad_input import doors, streams
from load.bad_input.streaming import StreamingSite
from tests.redis_server import RedisServer

DOORS = tuple(streams.plays(Path()))
SAMPLE = ["", "\0", "\u202e", "Ω≈ç√∫", "';DROP TABLE users", "{{7*7}}", "../../etc/passwd", "%s%n"]


@pytest.fixture(scope="module")
def site(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StreamingSite]:
    folder = tmp_path_factory.mktemp("streams")
    with StreamingSite(folder, redis_server.url, voice=True) as running:
        yield running


@pytest.mark.parametrize(
    "door", [pytest.param(it, marks=pytest.mark.long) if it == "voice" else it for it in DOORS]
)
def test_a_sample_is_refused_and_no_neighbour_notices(site: StreamingSite, door: str) -> None:
    found = streams.played(site, streams.plays(Path())[door], SAMPLE, count=8, rounds=1)

    assert found["faults"] == []


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS)
def test_all_of_it_is_refused_and_leaves_no_memory(
    site: StreamingSite, public_data: Path, door: str
) -> None:
    texts = doors.texts(public_data)[::5]
    found = streams.played(site, streams.plays(public_data)[door], texts, count=60, rounds=2)

    print(found)
    assert found["faults"] == []
