"""Effects happen once and users are told the truth, wherever in a call its pod is lost."""

import random
from collections.abc import Iterator

import pytest

from load.effects.cases import Mode, World, case_of
from load.effects.pods import DURING, PLACES, Place
from load.effects.shops import KINDS, Kind, Shop
from tests.redis_server import RedisServer

STOPPED = [(mode, place) for mode in ("cancel", "interrupt") for place in DURING]
LOST = [(mode, place) for mode in ("crash", "freeze") for place in PLACES]
QUICK = [it for it in LOST if it != ("freeze", PLACES[0])]
"""Who froze before it decided anything hears late that it was fenced."""


@pytest.fixture(scope="module", params=KINDS)
def world(redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[World]:
    redis_server.wipe()
    with Shop(request.param) as shop:
        yield World(redis_server, shop)


@pytest.mark.parametrize(("mode", "place"), [*QUICK, *STOPPED])
def test_an_order_is_cancelled_once_and_its_user_is_told_the_truth(
    world: World, mode: Mode, place: Place
) -> None:
    _happens(world, world.shop.kind, place, mode, times=1)


@pytest.mark.long
@pytest.mark.parametrize(("mode", "place"), [*LOST, *STOPPED])
def test_an_order_is_cancelled_once_a_hundred_times(world: World, mode: Mode, place: Place) -> None:
    _happens(world, world.shop.kind, place, mode, times=100)


def _happens(world: World, shop: Kind, place: Place, mode: Mode, *, times: int) -> None:
    chance = random.Random(f"{shop} {place} {mode}")
    for _ in range(times):
        case = case_of(shop, place, mode, chance)
        ended = world.happens(case)
        assert not ended.problem(case), f"{case}: {ended}"
