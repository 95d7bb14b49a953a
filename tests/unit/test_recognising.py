"""A pod has its recognisers from its settings, or does not start and says why."""

from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.composition.recognising import intents_of
from kotaemon_node.engine.intents import IntentContext, Intents
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.encoder import HashingEncoder
from tests.unit.test_intents_examples import Threads


def made(**settings: Any) -> Intents:
    return intents_of(
        Settings(**settings),
        encoder=HashingEncoder(),
        adviser=None,
        clock=SystemClock(),
        ids=RandomIds(),
        tasks=Threads(),
        metrics=Metrics(),
    )


def test_the_file_of_the_settings_is_read(tmp_path: Path) -> None:
    file = tmp_path / "intents.yaml"
    file.write_text("intents:\n  greet: {keywords: [hello, 你好]}\n", "utf-8")
    intents = made(intents_file=file)

    for text in ("hello", "你好！"):
        context = IntentContext(Caller("t", "s"))
        assert intents.recognise(text, context=context, stop=Stop()).intent == "greet"


def test_a_wrong_file_and_a_wrong_address_are_told_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "intents.yaml"
    file.write_text("intents:\n  greet: {patterns: ['(']}\n")

    with pytest.raises(ValueError, match=r"line 2: intents\.greet\.patterns\.0"):
        made(intents_file=file)
    with pytest.raises(ValueError, match="INTENT_URL"):
        made(intent_url="nowhere")
