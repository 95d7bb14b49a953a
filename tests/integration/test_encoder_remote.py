"""An encoder elsewhere, over real HTTP: same vectors, bounded requests, and what failures cost."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from kotaemon_node.adapters.encoder import embeddings, remote
from kotaemon_node.adapters.encoder.errors import EncoderSetupError
from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.encoder.remote import RemoteEncoder, RemotePlace, load_remote
from kotaemon_node.domain import limits
from kotaemon_node.ports.encoder import EncoderUnavailable, is_elsewhere
from tests.fakes.embeddings_server import EmbeddingsServer
from tests.fakes.encoder import HashingEncoder

TEXTS = ["The kettle holds two litres.", "保修期是两年。", "", "half a pair: \ud83d", "\x00"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds, and no wait for a busy machine that a test would notice."""
    monkeypatch.setattr(
        remote, "PASSAGES", replace(embeddings.PASSAGES, pause_s=0.001, pause_max_s=0.01)
    )
    monkeypatch.setattr(
        remote, "QUESTIONS", replace(embeddings.QUESTIONS, pause_s=0.001, timeout_s=60.0)
    )


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with EmbeddingsServer() as running:
        yield running


def encoder_of(
    server: EmbeddingsServer, name: str = "m", *, key: str = "", now_s: Callable[[], float] = float
) -> RemoteEncoder:
    outcomes: list[str] = []
    loaded = load_remote(name, RemotePlace(server.url, key, count=outcomes.append))
    server.bodies.clear()
    server.headers.clear()
    outcomes.clear()
    loaded.outcomes = outcomes  # type: ignore[attr-defined]
    loaded._rest = remote._Rest(now_s)
    return loaded


def test_vectors_are_those_of_the_server_in_order_and_of_length_one(
    server: EmbeddingsServer,
) -> None:
    encoder = encoder_of(server)

    for encode in (encoder.encode_passages, encoder.encode_queries):
        (space,) = encode(TEXTS)
        rows = encode(TEXTS)[space]
        expected = HashingEncoder().encode_passages([*TEXTS[:3], "half a pair: ?", "\x00"])["all"]
        assert (space, rows.vectors.shape) == ("m", (5, 64))
        assert np.abs(rows.vectors - expected.vectors).max() < 1e-6
        assert rows.vectors.dtype == np.float32
        assert rows.vectors.flags.c_contiguous
        assert rows.positions.tolist() == [0, 1, 2, 3, 4]
    assert encoder.encode_queries([]) == {}
    # Servers refuse an empty text.
    assert server.inputs[0][2] == " "


def test_a_server_that_only_writes_decimals_is_asked_for_them() -> None:
    with EmbeddingsServer(knows_base64=False) as server:
        encoder = encoder_of(server)
        vectors = encoder.encode_passages(TEXTS[:2])["m"].vectors

    expected = HashingEncoder().encode_passages(TEXTS[:2])["all"].vectors
    assert np.abs(vectors - expected).max() < 1e-6
    assert [body["encoding_format"] for body in server.bodies] == ["float"]


def test_the_name_says_model_and_size_and_not_the_address(server: EmbeddingsServer) -> None:
    with EmbeddingsServer() as other:
        one, same = encoder_of(server, "BAAI/bge-m3"), encoder_of(other, "BAAI/bge-m3")

    assert one.name == same.name != encoder_of(server, "bge-m3").name
    assert one.name.startswith("bge-m3:http-64:")
    assert one.spaces == {"bge-m3": 64}
    assert is_elsewhere(one)


def test_prefixes_are_those_of_the_catalogue(server: EmbeddingsServer) -> None:
    encoder = encoder_of(server, "intfloat/multilingual-e5-small")

    encoder.encode_queries(["how long?"])
    encoder.encode_passages(["two years"])

    assert server.inputs == [["query: how long?"], ["passage: two years"]]
    assert encoder.spaces == {"multilingual-e5-small": 64}


def test_requests_are_bounded_in_texts_and_in_characters(server: EmbeddingsServer) -> None:
    encoder = encoder_of(server)
    long = "x" * (limits.ENCODER_TEXT_CHARS_MAX + 1)

    rows = encoder.encode_passages([*(str(number) for number in range(70)), *([long] * 9)])["m"]

    sizes = [len(texts) for texts in server.inputs]
    assert sum(sizes) == len(rows.vectors) == 79
    assert max(sizes) == limits.ENCODER_INPUTS_MAX
    for texts in server.inputs:
        assert sum(map(len, texts)) <= limits.ENCODER_REQUEST_CHARS_MAX
    assert max(len(text) for texts in server.inputs for text in texts) == len(long) - 1


def test_a_text_too_long_for_the_server_is_cut_and_its_company_is_not() -> None:
    with EmbeddingsServer(chars_max=1_000) as server:
        encoder = encoder_of(server)
        texts = ["short", "a b " * 750, "short, too"]
        rows = encoder.encode_passages(texts)["m"].vectors

    expected = HashingEncoder().encode_passages(["short", "a b " * 187 + "a b", "short, too"])
    assert np.abs(rows[[0, 2]] - expected["all"].vectors[[0, 2]]).max() < 1e-6
    assert max(map(len, server.inputs[-2])) <= 1_000 or max(map(len, server.inputs[-1])) <= 1_000
    assert len(server.inputs) < 10


def test_passages_are_asked_for_again_and_as_late_as_the_server_wants(
    server: EmbeddingsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(server)
    waits: list[float] = []
    monkeypatch.setattr(embeddings, "_pause", waits.append)
    monkeypatch.setattr(remote, "PASSAGES", embeddings.PASSAGES)
    server.faults.extend([503, "cut", "garbage", 429])
    server.retry_after = "7"

    encoder.encode_passages(["two years"])

    # The server names a time in its refusals alone; in between the pauses double.
    assert waits == [7.0, 1.0, 2.0, 7.0]
    assert encoder.outcomes == ["failed"] * 4 + ["answered"]  # type: ignore[attr-defined]

    waits.clear()
    server.retry_after = "86400"
    server.faults.append(429)
    encoder.encode_passages(["two years"])
    assert waits == [limits.ENCODER_PAUSE_MAX_S]


def test_passages_are_given_up_after_some_attempts(server: EmbeddingsServer) -> None:
    encoder = encoder_of(server)
    server.faults.extend([500] * 20)

    with pytest.raises(EncoderUnavailable, match="answered 500"):
        encoder.encode_passages(["two years"])

    assert len(server.bodies) == limits.ENCODER_PASSAGES_ATTEMPTS_MAX


@pytest.mark.parametrize("fault", [500, 429, "cut", "garbage", "few", "nan"])
def test_a_question_is_asked_once_more_at_once(server: EmbeddingsServer, fault: str) -> None:
    encoder = encoder_of(server)
    server.faults.append(fault)
    encoder.encode_queries(["how long?"])
    assert len(server.bodies) == 2

    server.faults.extend([fault, fault])
    with pytest.raises(EncoderUnavailable):
        encoder.encode_queries(["how long?"])
    assert len(server.bodies) == 4


@pytest.mark.parametrize("fault", ["mute", "drops"])
def test_a_server_that_is_silent_or_slow_gets_a_question_once(
    server: EmbeddingsServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(server)
    monkeypatch.setattr(remote, "QUESTIONS", replace(embeddings.QUESTIONS, timeout_s=0.5))
    server.faults.append(fault)

    with pytest.raises(EncoderUnavailable, match=r"within 0\.5 s|too long"):
        encoder.encode_queries(["how long?"])

    assert len(server.bodies) == 1


def test_after_a_failure_questions_do_not_wait_for_the_server(server: EmbeddingsServer) -> None:
    now = [100.0]
    encoder = encoder_of(server, now_s=lambda: now[0])

    def asked(*, fails: bool) -> int:
        server.bodies.clear()
        server.faults.extend([500, 500] if fails else [])
        if fails:
            with pytest.raises(EncoderUnavailable):
                encoder.encode_queries(["how long?"])
        else:
            encoder.encode_queries(["how long?"])
        return len(server.bodies)

    assert asked(fails=True) == 2
    with pytest.raises(EncoderUnavailable, match="a moment ago"):
        encoder.encode_queries(["how long?"])
    assert encoder.outcomes[-1] == "skipped"  # type: ignore[attr-defined]
    assert len(server.bodies) == 2
    now[0] += limits.ENCODER_REST_MIN_S
    assert asked(fails=True) == 2
    # Each failure doubles the rest, up to a bound.
    now[0] += limits.ENCODER_REST_MIN_S
    with pytest.raises(EncoderUnavailable, match="a moment ago"):
        encoder.encode_queries(["how long?"])
    for _ in range(8):
        now[0] += limits.ENCODER_REST_MAX_S
        assert asked(fails=True) == 2
    now[0] += limits.ENCODER_REST_MAX_S
    assert asked(fails=False) == 1
    assert asked(fails=False) == 1
    # Passages have time, and are tried all the while.
    assert encoder.encode_passages(["two years"])


def test_vectors_of_another_size_are_not_taken(server: EmbeddingsServer) -> None:
    encoder = encoder_of(server)
    server.faults.append("larger")

    with pytest.raises(EncoderUnavailable, match="another size"):
        encoder.encode_queries(["how long?"])


def test_the_key_goes_into_its_header_and_nowhere_else(server: EmbeddingsServer) -> None:
    encoder = encoder_of(server, key="canary\n")
    server.faults.extend([401, "elsewhere"])

    with pytest.raises(EncoderUnavailable, match="answered 401") as told:
        encoder.encode_passages(["two years"])
    assert "canary" not in str(told.value)
    assert encoder.outcomes == ["failed"]  # type: ignore[attr-defined]
    assert server.headers[0]["Authorization"] == "Bearer canary"
    with pytest.raises(EncoderUnavailable, match="answered 307"):
        encoder.encode_passages(["two years"])
    assert server.redirected == 0


def test_a_start_without_a_server_says_what_to_do(server: EmbeddingsServer, tmp_path) -> None:
    with pytest.raises(EncoderSetupError, match="needs ENCODER_URL"):
        make_encoder("m", "http", tmp_path, 1)
    for url in ("encoder:8100/v1", "file:///v1"):
        with pytest.raises(EncoderSetupError, match="must look like"):
            make_encoder("m", "http", tmp_path, 1, remote=RemotePlace(url))
    with pytest.raises(EncoderSetupError, match="ENCODER_API_KEY"):
        make_encoder("m", "http", tmp_path, 1, remote=RemotePlace(server.url, "schlüssel"))
    with pytest.raises(EncoderSetupError, match=r"no vectors of m: .*cannot be reached"):
        make_encoder("m", "http", tmp_path, 1, remote=RemotePlace("http://127.0.0.1:9/v1"))
    server.faults.extend([404])
    with pytest.raises(EncoderSetupError, match="answered 404"):
        make_encoder("m", "http", tmp_path, 1, remote=RemotePlace(server.url))


def test_another_model_behind_the_name_of_a_known_one_is_refused(
    server: EmbeddingsServer, tmp_path
) -> None:
    with pytest.raises(EncoderSetupError, match="not the model it should be"):
        make_encoder("all-MiniLM-L6-v2", "http", tmp_path, 1, remote=RemotePlace(server.url))
