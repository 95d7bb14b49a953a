"""Places in a list: "the second one", 第二个."""

import pytest

from kotaemon_node.engine.ordinals import places_in


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("cancel the second one", {1}),
        ("The 3rd, please", {2}),
        ("the last", {-1}),
        ("the former or the latter", {0, -1}),
        ("the first time I ordered", set()),
        ("the second day of June", set()),
        ("second thoughts", set()),
        ("取消第二个", {1}),
        ("第10单", {9}),
        ("最后一个", {-1}),
        ("第二天", set()),
        ("第二", set()),
        ("", set()),
    ],
)
def test_a_place_is_what_is_counted(text: str, places: set[int]) -> None:
    assert places_in(text) == places


def test_an_answer_to_which_one_need_not_say_what_is_counted() -> None:
    assert places_in("第二", bare=True) == {1}
    assert places_in("第三笔", bare=True) == {2}
