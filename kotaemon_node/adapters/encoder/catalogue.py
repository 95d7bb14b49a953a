"""The models we know: what each file must hash to, where it can be fetched, how it is used.

One checksum stands for one file whatever its source: the artifacts and the hub carry the same
bytes (ADR 0003 says how that was checked). A new model is a new row; ``load/bench/encoders.py``
measures it.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.adapters.encoder.errors import UnknownModel
from kotaemon_node.domain.language import Language

Pooling = Literal["mean", "cls"]

MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"

DEFAULT_MODEL: Final = "all-MiniLM-L6-v2+bge-small-zh-v1.5"
"""ADR 0003. It stands in every manifest: another default is a rebuild of every knowledge base."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model, and its name at each source (``None``: that source lacks it)."""

    name: str
    sha256: str
    size_bytes: int
    jar_entry: str | None
    hub_path: str


@dataclass(frozen=True, slots=True)
class Jar:
    """A Maven artifact that contains the files."""

    coordinates: str
    """``group:artifact:version``."""
    sha256: str


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository of the model hub at one revision."""

    repo_id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Model:
    """One model: int8 weights for onnxruntime, and the recipe that its authors trained it with."""

    name: str
    reference: str
    """Name of the full-precision model, as sentence-transformers loads it; also an alias."""
    languages: frozenset[Language]
    dimension: int
    tokens_max: int
    """Longer texts are cut here, special tokens included."""
    pooling: Pooling
    files: tuple[ModelFile, ...]
    hub: HubRepository
    jar: Jar | None = None
    query_prefix: str = ""
    passage_prefix: str = ""

    @property
    def space(self) -> str:
        """The vector space; it matches ``domain.ids.ID_PATTERN``."""
        return self.name

    @property
    def fingerprint(self) -> str:
        """12 hex digits over the files and the recipe: what else could change a vector."""
        recipe = (
            self.pooling,
            str(self.tokens_max),
            self.query_prefix,
            self.passage_prefix,
            *(f"{file.name}={file.sha256}" for file in self.files),
        )
        return hashlib.sha256("\x00".join(recipe).encode()).hexdigest()[:12]


_LANGCHAIN4J: Final = "dev.langchain4j:langchain4j-embeddings"
_BGE_ZH_QUERY: Final = "为这个句子生成表示以用于检索相关文章："
_BGE_EN_QUERY: Final = "Represent this sentence for searching relevant passages: "

MODELS: Final[tuple[Model, ...]] = (
    Model(
        name="all-MiniLM-L6-v2",
        reference="sentence-transformers/all-MiniLM-L6-v2",
        languages=frozenset({"en"}),
        dimension=384,
        tokens_max=256,
        pooling="mean",
        files=(
            ModelFile(
                name=MODEL_FILE,
                sha256="afdb6f1a0e45b715d0bb9b11772f032c399babd23bfc31fed1c170afc848bdb1",
                size_bytes=22_972_370,
                jar_entry="all-minilm-l6-v2-q.onnx",
                hub_path="onnx/model_quantized.onnx",
            ),
            ModelFile(
                name=TOKENIZER_FILE,
                sha256="da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0",
                size_bytes=711_661,
                jar_entry="all-minilm-l6-v2-q-tokenizer.json",
                hub_path="tokenizer.json",
            ),
        ),
        jar=Jar(
            coordinates=f"{_LANGCHAIN4J}-all-minilm-l6-v2-q:1.20.0-beta30",
            sha256="cd0f28d2b59887372ee90e4e9e32314a27aa8f47a688ce8b413573c82ec68da8",
        ),
        hub=HubRepository(
            repo_id="Xenova/all-MiniLM-L6-v2",
            revision="751bff37182d3f1213fa05d7196b954e230abad9",
        ),
    ),
    Model(
        name="bge-small-zh-v1.5",
        reference="BAAI/bge-small-zh-v1.5",
        languages=frozenset({"zh"}),
        dimension=512,
        tokens_max=512,
        pooling="cls",
        query_prefix=_BGE_ZH_QUERY,
        files=(
            ModelFile(
                name=MODEL_FILE,
                sha256="15b717c382bcb518ba457b93ea6850ede7f4f1cd8937454aa06972366cd19bcc",
                size_bytes=24_010_842,
                jar_entry="bge-small-zh-v1.5-q.onnx",
                hub_path="onnx/model_quantized.onnx",
            ),
            ModelFile(
                name=TOKENIZER_FILE,
                sha256="48cea5d44424912a6fd1ea647bf4fe50b55ab8b1e5879c3275f80e339e8fae26",
                size_bytes=439_125,
                jar_entry="bge-small-zh-v1.5-q-tokenizer.json",
                hub_path="tokenizer.json",
            ),
        ),
        jar=Jar(
            coordinates=f"{_LANGCHAIN4J}-bge-small-zh-v15-q:1.11.0-beta19",
            sha256="379c43d20453aac45ed71445b65834f1e57b4e1de93047d1c97f855adbb990dd",
        ),
        hub=HubRepository(
            repo_id="Xenova/bge-small-zh-v1.5",
            revision="75c43b069aac4d136ba6bc1122f995fedcfd2781",
        ),
    ),
    Model(
        name="bge-small-en-v1.5",
        reference="BAAI/bge-small-en-v1.5",
        languages=frozenset({"en"}),
        dimension=384,
        tokens_max=512,
        pooling="cls",
        query_prefix=_BGE_EN_QUERY,
        files=(
            ModelFile(
                name=MODEL_FILE,
                sha256="6c9c6101a956d62dfb5e7190c538226c0c5bb9cb27b651234b6df063ee7dbfe4",
                size_bytes=34_014_426,
                jar_entry="bge-small-en-v1.5-q.onnx",
                hub_path="onnx/model_quantized.onnx",
            ),
            ModelFile(
                name=TOKENIZER_FILE,
                sha256="d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
                size_bytes=711_396,
                jar_entry="bge-small-en-v1.5-q-tokenizer.json",
                hub_path="tokenizer.json",
            ),
        ),
        jar=Jar(
            coordinates=f"{_LANGCHAIN4J}-bge-small-en-v15-q:1.20.0-beta30",
            sha256="95b1ab04b9455fac9c63d52786ff142bfd3e86ace6b987eed263206672700dfe",
        ),
        hub=HubRepository(
            repo_id="Xenova/bge-small-en-v1.5",
            revision="ea104dacec62c0de699686887e3f920caeb4f3e3",
        ),
    ),
    # Both languages in one space, at five times the size. No artifact carries it, so it comes from
    # the hub alone and ADR 0003 has no figures for it.
    Model(
        name="multilingual-e5-small",
        reference="intfloat/multilingual-e5-small",
        languages=frozenset({"en", "zh"}),
        dimension=384,
        tokens_max=512,
        pooling="mean",
        query_prefix="query: ",
        passage_prefix="passage: ",
        files=(
            ModelFile(
                name=MODEL_FILE,
                sha256="f80102d3f2a1229f387d3c81909990d8945513e347b0eab049f7de3c6f98c193",
                size_bytes=118_308_185,
                jar_entry=None,
                hub_path="onnx/model_quantized.onnx",
            ),
            ModelFile(
                name=TOKENIZER_FILE,
                sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
                size_bytes=17_082_730,
                jar_entry=None,
                hub_path="tokenizer.json",
            ),
        ),
        hub=HubRepository(
            repo_id="Xenova/multilingual-e5-small",
            revision="761b726dd34fb83930e26aab4e9ac3899aa1fa78",
        ),
    ),
)


def names_in(model: str) -> tuple[str, ...]:
    """Split the setting ``a+b`` into its names; the empty setting is the default's names."""
    names = tuple(name.strip() for name in (model or DEFAULT_MODEL).split("+"))
    if not all(names) or len(set(names)) != len(names):
        raise UnknownModel(f"'{model}' must be model names joined by '+', each once.")
    return names


def find_model(name: str) -> Model | None:
    """Return the model of this name or alias, letters' case aside; None when we do not know it."""
    wanted = name.casefold()
    for model in MODELS:
        if wanted in (model.name.casefold(), model.reference.casefold()):
            return model
    return None


def known_model(name: str) -> Model:
    """Return the model of this name or alias; raises ``UnknownModel`` naming those we know."""
    model = find_model(name)
    if model is None:
        known = ", ".join(model.name for model in MODELS)
        raise UnknownModel(
            f"'{name}' is no model of the onnx backend, which knows {known}; "
            "ENCODER_BACKEND=torch loads any sentence-transformers model by name."
        )
    return model
