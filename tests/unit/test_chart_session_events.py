"""The chart says of which turns pods tell each other, where it is not of all."""

import pytest

from tests.helm_chart import F, environment, pods, rendered


def told(*sets: str) -> dict[str, object]:
    workers = dict(pods(rendered(sets=sets)))[f"StatefulSet {F}-worker"]
    return dict(environment(workers["containers"][0]))


@pytest.mark.parametrize("mode", ["moved", "none"])
def test_workers_are_given_what_is_not_the_default(mode: str) -> None:
    assert told(f'sessionEvents="{mode}"')["SESSION_EVENTS"] == mode


def test_by_default_nothing_is_said() -> None:
    assert "SESSION_EVENTS" not in told()
