"""What a long answer costs the store, on the real writer, scripts and Redis."""

from itertools import cycle, islice
from pathlib import Path

from load.bench.frames import ENGLISH, RATIO_MAX, english, measure, tokens_of

MODELS = Path(__file__).resolve().parents[2] / ".models"
TOKENS = 10_000


def test_a_long_answer_costs_less_than_four_times_its_size() -> None:
    tokens = list(islice(cycle(tokens_of(MODELS, ENGLISH, english())), TOKENS))

    row = measure(tokens)

    print(row)
    assert row["file_ratio"] <= RATIO_MAX
    assert row["memory_ratio"] <= RATIO_MAX
    assert 0 < row["frames_expire_in_s"] <= 600
    # At 50 tokens a second a window of 200 ms holds ten, those at the beginning fewer; where the
    # writer is late more of them share a frame.
    assert TOKENS / 50 < row["frames"] <= TOKENS / 10 + 30
