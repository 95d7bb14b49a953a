"""Hundreds of clients that send slowly or nothing: none of them reaches a pod, nobody notices."""

from collections.abc import Iterator

import pytest

from load.bad_input.site import Site
from load.bad_input.slow import CROWDS
from tests.redis_server import RedisServer

pytestmark = pytest.mark.long
COUNT = 300
CUT_OFF_WITHIN_S = 45.0
GROWN_BYTES_MAX = 8_000_000


@pytest.fixture(scope="module")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url) as running:
        yield running


@pytest.mark.parametrize("name", CROWDS)
def test_a_slow_crowd_costs_others_and_the_pod_nothing(site: Site, name: str) -> None:
    found = CROWDS[name](site, COUNT)

    print(found, f"{found.ratio:.2f}")
    assert found.failed == 0
    assert found.requests_read == 0
    assert found.grown_bytes < GROWN_BYTES_MAX
    assert found.cut_off_after_s < CUT_OFF_WITHIN_S
