"""How close questions are: in each space that two share, and not at all where they share none."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from kotaemon_node.ports.encoder import EncoderUnavailable, SpaceVectors
from kotaemon_node.retrieval.question_closeness import QuestionCloseness


class TwoSpaces:
    """English and Chinese questions lie in spaces of their own; one is in both."""

    name = "two"
    spaces: Mapping[str, int] = {"en": 2, "zh": 2}
    away = False

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        if self.away:
            raise EncoderUnavailable("away")
        rows = {"en": ([0, 1, 3], [[1, 0], [0.6, 0.8], [1, 0]]), "zh": ([2, 3], [[1, 0], [0, 1]])}
        return {
            space: SpaceVectors(np.array(at, np.int64), np.array(vectors, np.float32))
            for space, (at, vectors) in rows.items()
        }

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        raise NotImplementedError


def test_cosines_by_space() -> None:
    computed: list[int] = []

    def compute(work, *arguments):
        computed.append(1)
        return work(*arguments)

    rows = QuestionCloseness(TwoSpaces(), compute=compute)(["a", "b", "c", "d"])

    assert rows[0] == pytest.approx([1.0, 0.6, -1.0, 1.0])
    assert rows[2] == pytest.approx([-1.0, -1.0, 1.0, 0.0])
    assert rows[3] == pytest.approx([1.0, 0.6, 0.0, 1.0])
    assert computed == [1]


def test_nothing_is_close_while_the_encoder_is_away() -> None:
    encoder = TwoSpaces()
    encoder.away = True

    rows = QuestionCloseness(encoder, compute=lambda work, *arguments: work(*arguments))(["a", "b"])

    assert rows == [[-1.0, -1.0], [-1.0, -1.0]]
