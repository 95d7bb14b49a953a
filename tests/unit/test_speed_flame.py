"""What a flame graph is summed up to."""

import pytest

from load.bench.speed.flame import most


def test_a_function_counts_with_what_it_called_and_once_where_it_calls_itself() -> None:
    raw = "\n".join(
        [
            "run (a.py:1);ask (a.py:5);send (b.py:9) 6",
            "run (a.py:2);ask (a.py:7);ask (a.py:7) 2",
            "idle (c.py:3) 2",
        ]
    )
    assert most(raw) == [
        ("run (a.py)", pytest.approx(0.8)),
        ("ask (a.py)", pytest.approx(0.8)),
        ("send (b.py)", pytest.approx(0.6)),
        ("idle (c.py)", pytest.approx(0.2)),
    ]


def test_nothing_seen_is_nothing() -> None:
    assert most("") == []
