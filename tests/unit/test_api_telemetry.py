"""What a pod counts and what it writes to its log."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from kotaemon_node.telemetry.catalogue import CATALOGUE
from kotaemon_node.telemetry.known_labels import KNOWN_LABELS
from kotaemon_node.telemetry.logs import configure_logs
from kotaemon_node.telemetry.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_each_event_moves_its_own_metric() -> None:
    metrics = Metrics()

    metrics.turn_finished("failed", 2.0)
    metrics.first_text(0.2)
    metrics.retrieval(0.004)
    metrics.turns_running(5)
    metrics.streams_open(1)
    metrics.reconnect_sent("leaving")
    metrics.handover()
    metrics.frames_stored(3, 0.02)
    metrics.takeover()
    metrics.fenced_write()
    metrics.knowledge.generations({"shop": 3})
    metrics.knowledge.refused(["shop"])
    metrics.event("knowledge_updated", "poison")
    metrics.llm_tokens(10, 20)
    metrics.ready(is_ready=True)
    metrics.http_request("/chat", method="POST", status=200, duration_s=0.3)

    assert value(metrics, "kotaemon_turns_total", outcome="failed") == 1
    assert value(metrics, "kotaemon_turns_total", outcome="done") == 0
    assert value(metrics, "kotaemon_turn_duration_seconds_sum") == 2.0
    assert value(metrics, "kotaemon_first_text_seconds_sum") == 0.2
    assert value(metrics, "kotaemon_retrieval_seconds_bucket", le="0.005") == 1
    assert value(metrics, "kotaemon_retrieval_seconds_bucket", le="0.0025") == 0
    assert value(metrics, "kotaemon_turns_running") == 5
    assert value(metrics, "kotaemon_streams_active") == 1
    assert value(metrics, "kotaemon_reconnects_total", reason="leaving") == 1
    assert value(metrics, "kotaemon_handovers_total") == 1
    assert value(metrics, "kotaemon_frames_stored_total") == 3
    assert value(metrics, "kotaemon_frame_delay_seconds_sum") == 0.02
    assert value(metrics, "kotaemon_takeovers_total") == 1
    assert value(metrics, "kotaemon_fenced_writes_total") == 1
    assert value(metrics, "kotaemon_knowledge_generation", kb="shop") == 3
    assert value(metrics, "kotaemon_knowledge_refused", kb="shop") == 1
    poison = {"topic": "knowledge_updated", "outcome": "poison"}
    assert value(metrics, "kotaemon_events_total", **poison) == 1
    assert value(metrics, "kotaemon_llm_tokens_total", kind="prompt") == 10
    assert value(metrics, "kotaemon_llm_tokens_total", kind="completion") == 20
    assert value(metrics, "kotaemon_ready") == 1
    answered = {"route": "/chat", "method": "POST", "status": "200"}
    assert value(metrics, "kotaemon_http_requests_total", **answered) == 1
    assert value(metrics, "kotaemon_http_request_seconds_sum", route="/chat") == 0.3


def test_a_knowledge_base_that_is_gone_leaves_the_exposition() -> None:
    metrics = Metrics()
    metrics.knowledge.generations({"shop": 3, "faq": 1})

    metrics.knowledge.generations({"shop": 4})

    assert value(metrics, "kotaemon_knowledge_generation", kb="shop") == 4
    assert value(metrics, "kotaemon_knowledge_generation", kb="faq") is None


def test_a_knowledge_base_that_is_served_has_its_refusals_counted_from_nothing() -> None:
    metrics = Metrics()

    metrics.knowledge.generations({"shop": 3})
    metrics.knowledge.refused([], served=["shop"])
    metrics.knowledge.behind(["shop"], served=["shop"])

    refusals = {"kb": "shop", "reason": "bad_signature"}
    assert value(metrics, "kotaemon_generation_refused_total", **refusals) == 0
    assert value(metrics, "kotaemon_knowledge_refused", kb="shop") == 0
    assert value(metrics, "kotaemon_knowledge_behind", kb="shop") == 1


def test_the_load_is_the_fuller_of_streams_and_turns() -> None:
    metrics = Metrics()
    metrics.maxima(streams=1_000, turns=50)

    metrics.streams_open(100)
    by_streams = value(metrics, "kotaemon_load_ratio")
    metrics.turns_running(30)
    by_turns = value(metrics, "kotaemon_load_ratio")
    metrics.turns_running(0)

    assert (by_streams, by_turns) == (0.1, 0.6)
    assert value(metrics, "kotaemon_load_ratio") == 0.1
    assert value(metrics, "kotaemon_streams_max") == 1_000
    assert value(metrics, "kotaemon_turns_running_max") == 50


def test_what_is_known_beforehand_is_counted_from_nothing() -> None:
    metrics = Metrics()
    columns = {row.name: row.labels for row in CATALOGUE}

    for name, rows in KNOWN_LABELS.items():
        for labels in rows:
            assert value(metrics, name, **dict(zip(columns[name], labels, strict=True))) == 0


def test_every_outcome_of_an_event_that_is_sent_is_counted_from_nothing() -> None:
    text = Metrics().exposition().decode()

    for outcome in ("sent", "failed", "dropped", "spared"):
        assert f'outcome="{outcome}",topic="session_updated"}} 0.0' in text


def test_two_pods_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.takeover()

    assert value(second, "kotaemon_takeovers_total") == 0


def test_every_row_is_exposed_with_its_meaning() -> None:
    text = Metrics().exposition().decode()

    for row in CATALOGUE:
        assert f"# HELP {row.name} {row.meaning}\n" in text
        assert f"# TYPE {row.name} {row.kind}\n" in text


@contextmanager
def pod_logs() -> Iterator[None]:
    """Logs as in a pod; afterwards as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("info")
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_our_lines_and_those_of_libraries_carry_the_trace_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pod_logs():
        structlog.contextvars.bind_contextvars(trace_id="t-1")

        structlog.get_logger("ours").info("turn_done", turn_id="t", answer="退货")
        structlog.get_logger("ours").debug("too much detail")
        logging.getLogger("library").warning("slow by %d s", 3)

    ours, library = logged(capsys)
    assert ours["event"] == "turn_done"
    assert (ours["turn_id"], ours["answer"]) == ("t", "退货")
    assert library["event"] == "slow by 3 s"
    assert (ours["level"], library["level"]) == ("info", "warning")
    assert {ours["trace_id"], library["trace_id"]} == {"t-1"}
    assert str(ours["at"]).endswith("Z")


def test_an_exception_is_one_line_with_its_whole_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with pod_logs():
        try:
            int("broken")
        except ValueError:
            structlog.get_logger("ours").exception("failed")

    (line,) = logged(capsys)
    assert "Traceback" in str(line["exception"])
    assert "ValueError: invalid literal" in str(line["exception"])


def test_no_value_loses_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pod_logs():
        structlog.get_logger("ours").info("odd", thing=object(), keys={1: b"\xff"}, text="\ud800")

    (line,) = logged(capsys)
    assert "odd" in str(line["event"])


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        configure_logs("loud")
