"""Which version is wanted, and which sessions get it."""

from dataclasses import replace
from itertools import pairwise

import pytest

from kotaemon_node.domain.errors import Invalid
from kotaemon_node.domain.plugin_releases import (
    PluginRow,
    gets_next,
    row_from_json,
    row_to_json,
    with_config,
    with_release,
    with_rollout,
)
from tests.fakes.plugin_rollout import release

A, B, C = release("a"), release("b"), release("c")
SESSIONS = [f"session-{number}" for number in range(20_000)]


def those_with_next(percent: float) -> set[str]:
    row = PluginRow("orders", A, B, rollout_percent=percent)
    return {session for session in SESSIONS if gets_next(row, "default", session)}


def test_a_share_of_the_sessions_gets_the_next_version_and_raising_it_adds_only() -> None:
    shares = [those_with_next(percent) for percent in (0, 0.5, 10, 50, 100)]

    assert [len(share) / len(SESSIONS) for share in shares] == pytest.approx(
        [0, 0.005, 0.1, 0.5, 1], abs=0.01
    )
    assert all(less <= more for less, more in pairwise(shares))


def test_two_plugins_are_not_tried_on_the_same_sessions() -> None:
    other = replace(PluginRow("refunds", A, B), rollout_percent=50.0)
    both = [it for it in those_with_next(50) if gets_next(other, "default", it)]

    assert len(both) / len(SESSIONS) == pytest.approx(0.25, abs=0.02)


def test_a_new_version_replaces_the_stable_one_or_waits_beside_it() -> None:
    first = with_release(PluginRow("orders"), A)
    second = with_release(first, B)
    assert (first.stable, second.stable, second.previous) == (A, B, A)

    tried = with_release(with_rollout(second, 10), C)
    assert (tried.stable, tried.next, tried.newest) == (B, C, C)
    assert with_release(tried, C) == tried

    promoted = with_rollout(tried, 100)
    assert (promoted.stable, promoted.next, promoted.previous) == (C, None, B)


def test_what_is_there_already_ends_a_roll_out() -> None:
    row = with_release(with_rollout(with_release(PluginRow("orders"), A), 10), B)

    back = with_release(row, A)

    assert (back.stable, back.next) == (A, None)


def test_a_configuration_is_a_version_and_is_rolled_out_like_one() -> None:
    row = with_rollout(with_release(PluginRow("orders"), A), 25)
    row = with_config(row, {"url": "https://shop"})

    assert row.stable == A
    assert row.next == release("a", {"url": "https://shop"})
    assert row.next.version != A.version


def test_a_plugin_without_a_version_cannot_be_configured() -> None:
    with pytest.raises(Invalid, match="no version"):
        with_config(PluginRow("orders"), {})


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_share_is_one(percent: float) -> None:
    with pytest.raises(Invalid):
        with_rollout(PluginRow("orders"), percent)


def test_a_row_is_read_as_it_was_written() -> None:
    row = PluginRow(
        "orders", A, release("b", {"k": {"secret": "S"}}), C, rollout_percent=12.5, enabled=False,
        reloads=3, origin="folder", taken="d" * 64, problem="no", changed_by="ann", changed_at=1.5,
    )  # fmt: skip

    assert row_from_json("orders", row_to_json(row)) == row


def test_rows_of_other_versions_of_the_product_are_read() -> None:
    assert row_from_json("orders", '{"of a later time": 1}') == PluginRow("orders")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("[]", "no JSON object"),
        ("{", "Expecting"),
        ('{"stable": 1}', "no JSON object"),
        ('{"stable": {"bundle": "../x"}}', "names no bundle"),
        ('{"enabled": "yes"}', "wrong type"),
    ],
)
def test_nonsense_is_no_row(raw: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        row_from_json("orders", raw)
