"""The YAML of an experiment: the documented form, and complaints that name line and field."""

import re
from pathlib import Path

import pytest

from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.experiment import parse_experiment, read_experiment

DOCUMENTED = """
experiment: "v2-query-expansion"
retriever: {type: "dense", model: "sentence-transformers/all-MiniLM-L6-v2"}   # or another
query_expander: {type: "hyde"}
generator: {model: "gpt-3.5-turbo", temperature: 0.7}
evaluation: {dataset: "path.jsonl", metrics: ["faithfulness", "answer_relevance", "nDCG@10"]}
"""
FILE = Path("some/where.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(text, path=FILE)
    return str(caught.value).splitlines()


def test_the_documented_form_is_read() -> None:
    found = parse_experiment(DOCUMENTED, path=FILE)
    assert found.name == "v2-query-expansion"
    assert (found.retriever, found.expander) == ("dense", "hyde")
    assert found.encoder_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert (found.generator, found.temperature) == ("gpt-3.5-turbo", 0.7)
    assert found.source.path == Path("some/path.jsonl")
    # What stands for a metric that a language model judges says so.
    assert found.metrics == ("faithfulness_proxy", "answer_relevance_proxy", "ndcg@10")


def test_all_but_name_and_data_may_be_left_out() -> None:
    found = parse_experiment("experiment: a\nevaluation: {dataset: /d/q.jsonl}", path=FILE)
    assert (found.retriever, found.expander, found.generator) == ("hybrid", "none", "extractive")
    assert {"recall@5", "ndcg@10", "dont_know"} <= set(found.metrics)
    assert (found.left_out, found.questions_max, found.seed) == (0.0, None, 0)


def test_a_language_of_questions_and_of_documents() -> None:
    text = "experiment: a\nevaluation: {dataset: q.jsonl, language: zh->en}"
    source = parse_experiment(text, path=FILE).source
    assert (source.language, source.documents_in, source.found_in) == ("zh", "en", "en")


def test_every_mistake_is_told_with_its_line_and_what_was_meant() -> None:
    told = problems(
        "experiment: ''\n"
        "retriever:\n"
        "  type: dens\n"
        "  modle: x\n"
        "query_expander: {type: hide}\n"
        "generator: {temperature: hot}\n"
        "evaluation:\n"
        "  metrics: [recall@5, faithfullness]\n"
        "  left_out: 2\n"
        "extra: 1\n"
    )
    wanted = [
        r":1: experiment must be a text",
        r":3: retriever\.type 'dens' is none of dense, lexical, hybrid; did you mean dense\?",
        r":4: retriever\.modle is unknown; there are type, model; did you mean model\?",
        r":5: query_expander\.type 'hide' is none of none, .*; did you mean hyde\?",
        r":6: generator\.temperature must be a number from 0 to 2, not 'hot'",
        r":7: evaluation\.dataset is missing",
        r":8: evaluation\.metrics 'faithfullness' is no metric; .*did you mean faithfulness\?",
        r":9: evaluation\.left_out must be a number from 0 to 0\.9, not 2",
        r":10: extra is unknown; there are experiment, retriever, .*",
    ]
    assert len(told) == len(wanted)
    for line, pattern in zip(told, wanted, strict=True):
        assert re.fullmatch(re.escape(str(FILE)) + pattern, line), line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("experiment: [", r":\d+: this is no YAML: .+"),
        ("- a\n- b", ":1: an experiment must be a mapping of fields"),
        ("a: 1\nexperiment: x\na: 2", ":3: a is there twice, first on line 1"),
        (
            "experiment: a\nevaluation: {dataset: x, dataset: y}",
            ":2: evaluation.dataset is there twice, first on line 2",
        ),
        ("experiment: a\nevaluation: 3", ":2: evaluation must be a mapping of dataset, .*"),
        ("experiment: a", ":1: evaluation.dataset is missing"),
        ("experiment: a\nevaluation: {dataset: x, metrics: []}", ".*must be a list of metrics .*"),
        ("experiment: a\nevaluation: {dataset: x, metrics: [recall@31]}", ".*is no metric.*"),
    ],
)
def test_what_is_no_experiment_says_why(text: str, told: str) -> None:
    (line,) = problems(text)
    assert re.fullmatch(f"{re.escape(str(FILE))}{told}", line), line


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read: No such file"):
        read_experiment(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"experiment: \xff")
    with pytest.raises(ExperimentError, match="it is not UTF-8"):
        read_experiment(tmp_path / "latin.yaml")
