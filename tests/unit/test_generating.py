"""What a turn that a language model answers shows, counts and notes."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.limits import PROMPT_CHARS_MAX, PROMPT_CHARS_MIN
from kotaemon_node.domain.session import SessionView
from kotaemon_node.engine.answer_draft import Answering, Draft
from kotaemon_node.engine.generating import Generating
from kotaemon_node.engine.profile import DEFAULT_PROFILE
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.terms import ModelTerms
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.ports.language_model import Usage
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.services import FakeClock
from tests.unit.test_citing import HITS, RETURNS
from tests.unit.test_engine_rounds import Writer
from tests.unit.test_engine_tool_steps import WORK

TERMS = ModelTerms(
    price_prompt=2.0,
    price_completion=10.0,
    sampling={"temperature": 0.7, "seed": 1},
    prompt_chars_max=PROMPT_CHARS_MIN,
)
SESSION = SessionView("s", "e", 0, "", 0.0, 0.0, ())


class Model:
    """Says its pieces, then fails where it is to."""

    name, continues_prefix = "scripted", True

    def __init__(self, *pieces: str, fails: bool = False) -> None:
        self.pieces, self.fails = pieces, fails
        self.sampling: Any = None

    def stream(self, messages: Any, *, usage: Usage, sampling: Any, **_: Any) -> Iterator[str]:
        self.sampling = sampling
        usage.prompt_tokens, usage.completion_tokens, usage.estimated = 1_000, 20, True
        yield from self.pieces
        if self.fails:
            raise LanguageModelError("it broke off")


class Quiet(Writer):
    """A writer that notes texts only."""

    def note_progress(self) -> None:
        """Nothing is shown."""


def turn_of(out: Writer) -> Answering:
    work = replace(WORK, message="How long may I return it?", session=SESSION)
    profile = replace(DEFAULT_PROFILE, sampling={"temperature": 0.0})
    asked = Asked(work.message, work.message)
    turn = SimpleNamespace(
        work=work, out=out, profile=profile, asked=asked, draft=Draft(), phase=lambda name: None
    )
    return cast("Answering", turn)


def written(model: Model, out: Writer) -> tuple[Answering, Metrics]:
    metrics, turn = Metrics(), turn_of(out)
    steps = ToolSteps(None, clock=FakeClock(), metrics=metrics)
    Generating(steps, FakeClock(), metrics, TERMS).write(cast("Any", model), turn, HITS)
    return turn, metrics


def shown(metrics: Metrics, name: str) -> float:
    for line in metrics.exposition().decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    raise AssertionError(name)


def test_marks_are_checked_before_they_are_written_and_all_is_noted() -> None:
    out = Quiet()
    out.prefix = ""
    model = Model("A return is free", " within 30 days", " [", "2", "]. It", " costs 99 euros [1].")
    turn, metrics = written(model, out)

    assert "".join(out.order[1:]) == "A return is free within 30 days [2]. It costs 99 euros."
    assert " [" not in out.order
    # Tokens and cost: 1,000 at 2 a million and 20 at 10 a million
    usage = {"prompt_tokens": 1_000, "completion_tokens": 20, "cost": 0.0022, "estimated": True}
    assert turn.draft.usage == usage
    assert shown(metrics, "kotaemon_llm_cost_total") == 0.0022
    assert shown(metrics, 'kotaemon_citation_marks_total{outcome="dropped"}') == 1
    # What the profile says goes before what is set for all
    assert model.sampling == {"temperature": 0.0}
    noted = turn.draft.record["generation"]
    assert noted["model"] == "scripted"
    assert noted["sampling"] == {"temperature": 0.0, "seed": 1}
    assert (noted["sentences"], noted["sentences_cited"]) == (2, 1)
    assert noted["marks"] == {"kept": 1, "dropped": 1}
    assert noted["usage"] == usage
    assert [said["role"] for said in noted["messages"]] == ["system", "user"]
    assert RETURNS in noted["messages"][1]["content"]
    assert noted["prompt_chars"] == sum(len(said["content"]) for said in noted["messages"])
    assert noted["prompt_chars"] <= noted["prompt_chars_max"] == PROMPT_CHARS_MIN


def test_an_answer_that_breaks_off_is_counted_and_noted_too() -> None:
    model, out = Model("A return is", fails=True), Quiet()
    metrics, turn = Metrics(), turn_of(out)
    steps = ToolSteps(None, clock=FakeClock(), metrics=metrics)
    with pytest.raises(LanguageModelError):
        Generating(steps, FakeClock(), metrics, TERMS).write(cast("Any", model), turn, HITS)
    assert turn.draft.usage["cost"] == 0.0022
    noted = turn.draft.record["generation"]
    assert noted["error"] == {"code": "language_model_failed", "message": "it broke off"}


def test_another_owner_goes_on_behind_what_was_shown() -> None:
    out = Quiet()
    behind: list[str] = []
    out.prefix = "A return is free within 30 days"
    out.begin_behind = behind.append  # type: ignore[attr-defined]
    written(Model(" [2]. It is", " free within 60 days [2]."), out)
    assert behind == [out.prefix]
    assert "".join(out.order) == " [2]. It is free within 60 days."


@pytest.mark.parametrize("chars_max", [PROMPT_CHARS_MIN, 12_000, PROMPT_CHARS_MAX])
def test_a_prompt_keeps_to_its_budget(chars_max: int) -> None:
    long = replace(HITS[0].passage, text="word " * 2_000)
    hits = [replace(HITS[0], passage=long)] * 50
    turns = [SimpleNamespace(message="m " * 1_000, answer="a " * 1_000)] * 10
    prompt = build_prompt(
        "q " * 16_000,
        hits=hits,
        history=cast("Any", turns),
        summary="s " * 8_000,
        trace_id="t",
        with_tools=True,
        chars_max=chars_max,
    )
    chars = sum(len(message.content) for message in prompt)
    assert 0.6 * chars_max < chars <= chars_max
    assert "[1] Guide" in prompt[-1].content
