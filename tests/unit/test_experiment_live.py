"""The file of a live experiment: what it may say, and how it is told what is wrong."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.experiments import read_live
from kotaemon_node.adapters.experiments.lined import FileProblem
from kotaemon_node.adapters.experiments.live import parse_live
from kotaemon_node.composition.bookkeeping import books_of
from kotaemon_node.domain.experiment import Arm
from kotaemon_node.engine.profile import split
from kotaemon_node.ports.cipher import NoCipher
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics

GOOD = """
experiment: more-passages
share: 0.25
a: {}
b:
  retriever: {type: lexical}
  query_expander: {type: none}
  generator: {model: extractive, temperature: 0.7, seed: 3}
  top_k: 8
"""


def test_a_file_makes_two_arms() -> None:
    experiment = parse_live(GOOD, name="e.yaml")

    assert (experiment.name, experiment.share, experiment.a) == ("more-passages", 0.25, Arm())
    assert experiment.b == Arm("lexical", "none", "extractive", 0.7, 3, 8)


def test_what_makes_no_difference_makes_no_other_fingerprint() -> None:
    profiles = {}
    for name in ("one", "two"):
        said = GOOD.replace("more-passages", name).replace("0.25", "1")
        profiles[name] = split(parse_live(said, name="e.yaml"))(_Work())  # type: ignore[arg-type]

    assert profiles["one"].name == profiles["one"].label == "one/b"
    assert profiles["one"].fingerprint == profiles["two"].fingerprint
    assert profiles["one"].sampling == {"temperature": 0.7, "seed": 3}


class _Work:
    """A turn of session ``s``."""

    def __getattr__(self, name: str) -> "_Work | str":
        return "s" if name == "session_id" else self


def test_all_mistakes_are_told_with_their_lines() -> None:
    wrong = GOOD.replace("0.25", "1.5").replace("lexical", "dens").replace("top_k: 8", "topk: 8")
    with pytest.raises(FileProblem) as told:
        parse_live(wrong.replace("more-passages", "more passages"), name="e.yaml")

    assert str(told.value).splitlines() == [
        "e.yaml:2: experiment must be a name of 1 to 64 letters, digits, dots, underscores or "
        "hyphens",
        "e.yaml:3: share must be a number from 0 to 1, not 1.5",
        "e.yaml:6: b.retriever.type 'dens' is none of dense, lexical, hybrid; did you mean dense?",
        "e.yaml:9: b.topk is unknown; there are retriever, query_expander, generator, top_k; "
        "did you mean top_k?",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "must be a mapping"),
        ("experiment: x\nshare: 0.5\na: {}\n", "e.yaml:1: b is missing"),
        ("experiment: x\nshare: 0.5\na: {}\nb: 3\n", "e.yaml:4: b must be a mapping"),
        ("experiment: x\na: {}\nb: {}\n", "share is missing"),
        ("experiment: x\nshare: 0.5\na: {}\na: {}\nb: {}", "e.yaml:4: a is there twice"),
        ("a: {b: [}", "this is no YAML"),
        ("experiment: x\nshare: yes\na: {}\nb: {}", "share must be a number"),
        ("experiment: x\nshare: 1\na: {top_k: 999}\nb: {}", "e.yaml:3: a.top_k must be"),
        ("experiment: x\nshare: 1\na: {retriever: dense}\nb: {}", "a.retriever must be a mapping"),
    ],
)
def test_what_is_no_experiment_is_refused(said: str, told: str) -> None:
    with pytest.raises(FileProblem, match=told):
        parse_live(said, name="e.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"missing\.yaml cannot be read"):
        read_live(tmp_path / "missing.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(FileProblem, match="it is not UTF-8"):
        read_live(tmp_path / "bytes.yaml")
    (tmp_path / "long.yaml").write_bytes(b"#" * 65_537)
    with pytest.raises(FileProblem, match="more than 65536 bytes"):
        read_live(tmp_path / "long.yaml")


def test_a_pod_does_not_start_with_a_model_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(GOOD.replace("model: extractive", "model: gpt-9"))
    settings = Settings(experiment_file=file, llm_base_url="http://x/v1", llm_model="qwen")

    with pytest.raises(ValueError, match=r"b\.generator\.model is 'gpt-9'.*extractive, qwen"):
        books_of(settings, cipher=NoCipher(), clock=None, tasks=None, metrics=Metrics())  # type: ignore[arg-type]
