"""A routed encoder puts passages where they are asked for, and keeps their place in the call."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from kotaemon_node.adapters.encoder.routed import RoutedEncoder
from kotaemon_node.ports.encoder import SpaceVectors


class CountingEncoder:
    """Gives text ``t`` the vector (length of ``t``, 1 for a query), and remembers its calls."""

    def __init__(self, space: str) -> None:
        self._space = space
        self.calls: list[list[str]] = []

    @property
    def name(self) -> str:
        return f"{self._space}:counting"

    @property
    def spaces(self) -> Mapping[str, int]:
        return {self._space: 2}

    def encode_passages(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, query=0)

    def encode_queries(self, texts: Sequence[str]) -> Mapping[str, SpaceVectors]:
        return self._encode(texts, query=1)

    def _encode(self, texts: Sequence[str], *, query: int) -> Mapping[str, SpaceVectors]:
        self.calls.append(list(texts))
        return {
            self._space: SpaceVectors(
                positions=np.arange(len(texts), dtype=np.int64),
                vectors=np.asarray([[len(text), query] for text in texts], dtype=np.float32),
            )
        }


def test_passages_lie_where_those_who_read_them_ask() -> None:
    english, chinese = CountingEncoder("e"), CountingEncoder("z")
    routed = RoutedEncoder({"en": english, "zh": chinese})
    passages = ["warranty", "保修期是两年", "", "用 docker compose up 启动服务", "按 Enter 键确认"]

    vectors = routed.encode_passages(passages)

    # English questions meet what is not Chinese and the Chinese with English names in it.
    assert vectors["e"].positions.tolist() == [0, 2, 3]
    assert vectors["e"].vectors[:, 0].tolist() == [8, 0, 24]
    # Chinese questions meet everything.
    assert vectors["z"].positions.tolist() == [0, 1, 2, 3, 4]
    assert vectors["z"].vectors[:, 0].tolist() == [8, 6, 0, 24, 11]
    assert english.calls == [["warranty", "", passages[3]]]  # one call for all texts of a space


def test_a_question_is_asked_in_the_space_of_its_language_alone() -> None:
    routed = RoutedEncoder({"en": CountingEncoder("e"), "zh": CountingEncoder("z")})

    vectors = routed.encode_queries(["保修期多长？", "how long?", "iPhone 15 的保修期", "404"])

    assert vectors["e"].positions.tolist() == [1, 3]
    assert vectors["z"].positions.tolist() == [0, 2]
    assert vectors["z"].vectors.tolist() == [[6, 1], [14, 1]]


def test_whatever_is_asked_about_itself_is_found_in_some_space() -> None:
    routed = RoutedEncoder({"en": CountingEncoder("e"), "zh": CountingEncoder("z")})

    for text in ("warranty", "保修期", "", "404", "Größe", "iPhone 15 的保修期", "?!"):
        asked, found = routed.encode_queries([text]), routed.encode_passages([text])
        assert set(asked) <= set(found)


def test_no_texts_make_no_vectors() -> None:
    routed = RoutedEncoder({"en": CountingEncoder("e"), "zh": CountingEncoder("z")})

    assert routed.encode_passages([]) == {}


def test_one_encoder_may_serve_both_languages() -> None:
    both = CountingEncoder("b")

    vectors = RoutedEncoder({"en": both, "zh": both}).encode_passages(["warranty", "保修期"])

    assert vectors["b"].positions.tolist() == [0, 1]
    assert len(both.calls) == 1


def test_the_name_tells_the_route_whatever_the_order() -> None:
    english, chinese = CountingEncoder("e"), CountingEncoder("z")

    name = RoutedEncoder({"zh": chinese, "en": english}).name

    assert name == "by-reader:en=e:counting+zh=z:counting"
    assert RoutedEncoder({"en": chinese, "zh": english}).name != name


def test_spaces_are_never_shared_and_no_language_is_forgotten() -> None:
    with pytest.raises(ValueError, match="share a space"):
        RoutedEncoder({"en": CountingEncoder("s"), "zh": CountingEncoder("s")})
    with pytest.raises(ValueError, match="each of"):
        RoutedEncoder({"en": CountingEncoder("e")})
