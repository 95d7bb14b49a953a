"""A run from files to figures in one process: real ingest and search, and no model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator.once import build_once, made
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.cli import evaluate
from kotaemon_node.cli.evaluating import language_model
from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.evaluation.base import Built, Tell
from kotaemon_node.evaluation.comparison import compare
from kotaemon_node.evaluation.errors import ExperimentError
from kotaemon_node.evaluation.experiment import parse_experiment
from kotaemon_node.evaluation.report import of_comparison, of_run
from kotaemon_node.evaluation.report.pages import html, markdown
from kotaemon_node.evaluation.results import to_json
from kotaemon_node.evaluation.run import Ran, Surroundings, run
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.settings import Settings
from tests.fakes.encoder import HashingEncoder
from tests.fakes.llm_server import FakeLlmServer
from tests.fakes.signing import SIGNER, VERIFIER

TOPICS = ("kettle", "toaster", "lamp", "chair", "table", "clock", "radio", "fan")


@dataclass
class World:
    """A made-up data set, and what a run stands on."""

    folder: Path
    encoder: HashingEncoder = field(default_factory=HashingEncoder)
    model: LanguageModel | None = None
    told: list[str] = field(default_factory=list)
    built: int = 0

    def __post_init__(self) -> None:
        self._put(
            "passages.jsonl",
            [
                {
                    "passage_id": f"p-{topic}",
                    "doc_id": topic,
                    "title": topic.title(),
                    "text": f"The {topic} has a warranty of {number + 2} years.",
                }
                for number, topic in enumerate(TOPICS)
            ],
        )
        self._put(
            "queries.jsonl",
            [
                {
                    "query_id": f"q-{topic}",
                    "query": f"Which warranty has the {topic}?",
                    "answers": [f"{number + 2} years"],
                    "gold_passages": [f"p-{topic}"],
                }
                for number, topic in enumerate(TOPICS)
            ],
        )

    def _put(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        (self.folder / name).write_text("\n".join(map(json.dumps, rows)), "utf-8")

    def build(self, documents: Path, room: Path, tell: Tell) -> Built:
        self.built += 1
        artifacts = room / "artifacts"
        manifest = build_once(documents, artifacts, encoder=self.encoder, signer=SIGNER, tell=tell)
        said = made(manifest)
        ref = GenerationRef(said["kb"], said["generation"], said["digest"], said["manifest"])
        return Built(ref, said["passages"], tuple(map(tuple, said["failed"])), artifacts, VERIFIER)

    def run(self, more: str = "", *, room: Path | None = None, **evaluation: Any) -> Ran:
        section = {"dataset": "queries.jsonl", **evaluation}
        text = f"experiment: warranty\n{more}\nevaluation: {json.dumps(section)}\n"
        experiment = parse_experiment(text, path=self.folder / "experiment.yaml")
        return run(
            experiment,
            Surroundings(
                build=self.build,
                encoder=self.encoder,
                language_model=self.model,
                clock=SystemClock(),
                tell=lambda doing, done, of: self.told.append(f"{doing} {done}/{of}"),
                room=room,
            ),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@dataclass
class ScriptedModel:
    """``ports.language_model.LanguageModel`` that says one thing."""

    says: str | None
    name: str = "scripted"
    continues_prefix: bool = False

    def stream(self, messages: Any, **_: Any) -> Any:
        if self.says is None:
            raise LanguageModelError("it is away")
        yield from self.says.split(" ")[:1]
        yield self.says[len(self.says.split(" ")[0]) :]


def test_a_run_finds_answers_and_cites_what_is_there(world: World) -> None:
    found = world.run().results
    assert found["data"] | {"digest": ""} == {
        "name": f"{world.folder.name}/queries",
        "digest": "",
        "questions": 8,
        "answerable": 8,
        "documents": 8,
        "passages": 8,
        "failed": [],
    }
    means = {name: it["mean"] for name, it in found["metrics"].items()}
    assert means["recall@1"] == means["mrr@10"] == means["ndcg@10"] == 1
    assert means["answer_contained"] == means["citation_recall"] == means["dont_know"] == 1
    assert means["faithfulness_proxy"] == 1
    kettle = found["questions"][0]
    assert (kettle["id"], kettle["ranking"][0], kettle["cited"][0]) == (
        "q-kettle",
        "p-kettle",
        "p-kettle",
    )
    assert kettle["answer"].startswith("The kettle has a warranty of 2 years. [1]")
    assert found["recall_curve"] == [1.0] * 10
    assert {"reading 8/8", "encoding 0/8", "asking 8/8"} <= set(world.told)


def test_the_same_file_gives_the_same_figures(world: World) -> None:
    more = {"left_out": 0.4, "questions": 6, "seed": 5}
    first, second = world.run(**more), world.run(**more)
    assert to_json(first.results) == to_json(second.results)
    # Times are another machine's tomorrow, and stand elsewhere.
    assert "_s" not in "".join(first.results)
    names = {"build_s", "understanding_s", "retrieval_s", "generation_s"}
    assert names == first.timings.keys()


def test_what_was_left_out_is_not_known_and_both_errors_are_told(world: World) -> None:
    found = world.run(left_out=0.5, seed=1).results
    judged = found["dont_know"]
    assert judged["answerable"] + judged["unanswerable"] == 8
    assert min(judged["answerable"], judged["unanswerable"]) > 0
    # Where everything is answered no refusal is wrong, and where nothing is no answer.
    first, last = judged["curve"][0], judged["curve"][-1]
    assert (first["false_refusals"], first["false_answers"]) == (0, 1)
    assert (last["false_refusals"], last["false_answers"]) == (1, 0)
    assert found["metrics"]["recall@1"]["n"] == judged["answerable"]
    text = markdown(of_run.page_of(found))
    assert "## Not knowing" in text
    assert "| 0.55 |" in text


def test_a_run_without_metrics_of_answers_makes_none(world: World) -> None:
    found = world.run(metrics=["recall@3", "ndcg@10"]).results
    assert set(found["metrics"]) == {"recall@3", "ndcg@10"}
    assert "answer" not in found["questions"][0]


def test_one_leg_alone_and_both_are_compared_on_the_same_questions(world: World) -> None:
    runs = {
        kind: world.run(f"retriever: {{type: {kind}}}").results
        for kind in ("lexical", "dense", "hybrid")
    }
    assert runs["lexical"]["configuration"]["retriever"] == "lexical"
    found = compare(runs["dense"], runs["hybrid"], seed=1)
    for name, it in found["metrics"].items():
        assert it["difference"] == pytest.approx(it["after"] - it["before"], abs=2e-6), name
        assert it["low"] <= it["difference"] <= it["high"]
        assert it["p"] <= it["p_holm"] <= 1
    page = of_comparison.page_of(found)
    assert "| retriever | dense | hybrid |" in markdown(page)
    assert "<svg" in html(page)
    with pytest.raises(ExperimentError, match="not asked the same questions"):
        compare(runs["dense"], world.run(questions=3).results, seed=1)


def test_a_language_model_answers_where_there_is_one(world: World) -> None:
    generator = "generator: {model: scripted, temperature: 0}"
    assert "LLM_BASE_URL" in world.run(generator).results["notes"][0]

    world.model = ScriptedModel("It has a warranty [1] of years [9].")
    found = world.run(generator).results
    assert found["configuration"]["generator"] == "scripted"
    asked = found["questions"][0]
    # A number that no passage has is no citation.
    assert (asked["known"], asked["cited"], asked["degraded"]) == (True, ["p-kettle"], False)

    world.model = ScriptedModel("I don't know.")
    assert world.run(generator).results["metrics"]["dont_know"]["mean"] == 0

    world.model = ScriptedModel(None)
    found = world.run(generator).results
    assert found["questions"][0]["degraded"]
    assert "failed on 8 questions" in found["notes"][-1]


def test_temperature_and_seed_reach_the_model(tmp_path: Path) -> None:
    text = (
        "experiment: a\ngenerator: {model: some, temperature: 0.5}\n"
        "evaluation: {dataset: q.jsonl, seed: 7}"
    )
    experiment = parse_experiment(text, path=tmp_path / "e.yaml")
    with FakeLlmServer() as llm:
        model = language_model(Settings(llm_base_url=llm.base_url), experiment)
        assert model is not None
        message = ChatMessage("user", "Question: how long?")
        list(model.stream([message], prefix="", usage=Usage(), stop=Stop()))
        (asked,) = llm.behaviour.requests
    assert (asked["model"], asked["temperature"], asked["seed"]) == ("some", 0.5, 7)


def test_a_knowledge_base_that_is_kept_is_not_built_again(world: World, tmp_path: Path) -> None:
    room = tmp_path / "kept"
    first = world.run(room=room).results
    world.told.clear()
    assert to_json(world.run(room=room).results) == to_json(first)
    assert not any(told.startswith("encoding") for told in world.told)
    world.encoder = HashingEncoder("another")
    world.run(room=room)
    assert any(told.startswith("encoding") for told in world.told)


def test_hyde_without_a_language_model_is_a_rewrite_and_says_so(world: World) -> None:
    found = world.run("query_expander: {type: hyde, model: some}").results
    assert any("hyde drafts passages with a language model" in note for note in found["notes"])
    assert any("some was to expand questions" in note for note in found["notes"])
    # Without a word before them these questions stand alone.
    assert not any("searched" in question for question in found["questions"])


def test_a_question_is_searched_as_it_stands_alone(world: World) -> None:
    history = [
        {"role": "user", "text": "Which warranty has the kettle?"},
        {"role": "assistant", "text": "2 years."},
    ]
    row = {"query_id": "q", "query": "And is it long?", "gold_passages": ["p-kettle"]}
    world._put("queries.jsonl", [{**row, "history": history}])
    raw = world.run("query_expander: {type: none}").results
    rewritten = world.run("query_expander: {type: rewrite}").results
    assert "searched" not in raw["questions"][0]
    (searched,) = rewritten["questions"][0]["searched"]
    assert "kettle" in searched
    assert searched.endswith(row["query"])
    assert compare(raw, rewritten, seed=0)["metrics"]["recall@1"]["difference"] == 1


def test_the_report_needs_nothing_else_and_holds_what_data_say_as_text(world: World) -> None:
    rows = (world.folder / "queries.jsonl").read_text("utf-8").splitlines()
    lost = {"query_id": "<b>x", "query": "<script>alert(1)</script>", "gold_passages": ["p-fan"]}
    (world.folder / "queries.jsonl").write_text("\n".join([*rows, json.dumps(lost)]))
    found = world.run().results
    found["questions"][-1]["ranking"] = []
    page = html(of_run.page_of(found))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert {it.name for it in of_run.page_of(found).plots} == {"figures", "recall"}


def test_the_command_compares_two_result_files(world: World, tmp_path: Path) -> None:
    paths = []
    for kind in ("lexical", "hybrid"):
        path = tmp_path / f"{kind}.json"
        path.write_text(to_json(world.run(f"retriever: {{type: {kind}}}").results), "utf-8")
        paths.append(str(path))
    told = CliRunner().invoke(evaluate.app, ["compare", *paths, "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    assert "| metric | before | after | difference |" in told.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"results.json", "report.md", "report.html", "differences.svg"}

    told = CliRunner().invoke(evaluate.app, ["compare", *paths, "--json"])
    assert json.loads(told.stdout)["after"] == "warranty"


def test_the_short_form_of_the_command_runs_a_file(tmp_path: Path) -> None:
    told = CliRunner().invoke(evaluate.app, [str(tmp_path / "none.yaml")])
    assert isinstance(told.exception, ExperimentError)
    assert "none.yaml cannot be read" in str(told.exception)
