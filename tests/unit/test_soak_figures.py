"""What a soak makes of its rows and looks: slopes, latencies, growth, and what was not right."""

import random
import re
from itertools import pairwise
from typing import Any

import pytest

from load.soak import figures
from load.soak.plan import Row, up_ms
from load.soak.plots import courses_plot
from load.soak.report import page, plots
from load.soak.run import pods_taken_out
from load.soak.slopes import slope
from load.soak.watching import Look, Taken, restarts

MINUTES = [60.0 * number for number in range(120)]


def test_a_slope_is_found_whatever_single_points_do() -> None:
    chance = random.Random(5)
    levels = [200.0 + at_s / 3_600 * 30.0 + chance.gauss(0.0, 1.0) for at_s in MINUTES]
    levels[7], levels[60] = 900.0, 0.0
    found = slope(MINUTES, levels)
    assert found is not None
    assert 28.0 < found.per_hour < 32.0
    assert found.low < found.per_hour < found.high
    assert found.high - found.low < 4.0


def test_what_stays_has_an_interval_around_nothing() -> None:
    chance = random.Random(6)
    found = slope(MINUTES, [50.0 + chance.gauss(0.0, 2.0) for _ in MINUTES])
    assert found is not None
    assert found.low < 0.0 < found.high
    level = slope(MINUTES, [50.0 for _ in MINUTES])
    assert level is not None
    assert (level.low, level.per_hour, level.high) == (0.0, 0.0, 0.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        chance = random.Random(seed)
        levels = [at_s / 3_600 * 5.0 + chance.gauss(0.0, 1.0) for at_s in MINUTES[:30]]
        found = slope(MINUTES[:30], levels)
        assert found is not None
        covered += found.low <= 5.0 <= found.high
    assert 180 <= covered <= 200


def test_few_points_have_no_slope_and_many_are_thinned() -> None:
    assert slope([0.0, 1.0], [1.0, 2.0]) is None
    assert slope([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    many = [float(number) for number in range(5_000)]
    found = slope(many, [at_s / 3_600 for at_s in many])
    assert found is not None
    assert found.points <= 400
    assert found.per_hour == pytest.approx(1.0)


def test_quantiles_of_what_was_counted() -> None:
    counted = {10: 50, 20: 45, 500: 5}
    assert figures.quantile_ms(counted, 0.50) == 10
    assert figures.quantile_ms(counted, 0.95) == 20
    assert figures.quantile_ms(counted, 0.99) == 500
    assert figures.quantile_ms({}, 0.5) is None
    assert (up_ms(0.0104), up_ms(1.2341)) == (11, 1_240)


def rows(**changed: Any) -> list[Row]:
    """Return three minutes of rows of ten seconds, behind one of opening."""
    opening = Row(took_s=5.0, connected=100)
    asking = [
        Row(
            at_s=10.0 * number, took_s=10.0, connected=100, asked=20, answered=20, told=20,
            first_ms={20: 20}, whole_ms={30: 19, 90: 1}, lag_ms={1: 20}, cpu_s=1.0, heartbeats=50,
            **changed,
        )
        for number in range(1, 19)
    ]  # fmt: skip
    return [opening, *asking]


def test_latencies_are_told_over_time_and_all_in_all() -> None:
    seen = rows()
    seen[-1].whole_ms = {4_000: 20}
    course = figures.over_time(seen)
    assert [it["from_s"] for it in course] == [0, 60, 120]
    assert [it["whole_ms"]["p99"] for it in course] == [90, 90, 4_000]
    assert course[0]["answered_per_s"] == 2.0
    assert course[0]["client_cores"] == 0.1
    users = figures.summary(seen)
    assert (users["asked"], users["answered"], users["told"]) == (360, 360, 360)
    assert users["whole_ms"] == {"p50": 30, "p95": 4_000, "p99": 4_000}
    assert users["asked_for_s"] == 180.0
    assert figures.over_time([]) == []


def test_a_long_run_has_bounded_many_rows() -> None:
    seen = [Row(at_s=10.0 * number, took_s=10.0, whole_ms={5: 1}) for number in range(1, 4_321)]
    assert 50 <= len(figures.over_time(seen)) <= 61


def looks(*, leak_mib: float = 0.0, pids: tuple[int, int] = (7, 7)) -> list[Look]:
    chance = random.Random(1)

    def taken(at_s: float, grown: float, pid: int) -> Taken:
        own = 120.0 + chance.uniform(-0.2, 0.2) + grown * at_s / 3_600
        return Taken(pid, own + 100.0, own, 50, at_s * 0.5)

    return [
        Look(
            at_s=at_s,
            processes={
                "worker-0": taken(at_s, leak_mib, pids[at_s > 3_000.0]),
                "redis": taken(at_s, 500.0, 9),
            },
            redis_mib=10.0 + at_s / 100.0,
            redis_keys=int(at_s),
            busy_s=at_s * 1.6,
        )
        for at_s in MINUTES
    ]


def judged(found: list[Look], seen: list[Row], *, taken_out: int = 0) -> list[str]:
    return figures.verdict(
        figures.summary(seen),
        figures.processes(found),
        restarted=restarts(found),
        taken_out=taken_out,
    )


def test_nothing_is_wrong_where_all_was_told_and_nothing_grows() -> None:
    # Redis keeps what was said: that it grows is no fault.
    assert judged(looks(), rows()) == []
    assert judged(looks(leak_mib=5.0), rows()) == []


def test_a_pod_that_leaks_is_named() -> None:
    assert judged(looks(leak_mib=40.0), rows()) == ["worker-0 grows"]


def test_a_short_run_tells_nothing_of_growth() -> None:
    short = looks(leak_mib=4_000.0)[:15]
    assert not figures.long_enough(short)
    assert judged(short, rows()) == []
    assert "too short to tell whether it grows" in page(results(long_enough_for_growth=False))


TWELVE_HOURS = [60.0 * number for number in range(720)]


def long_looks(
    *, leak_mib: float = 0.0, files: float = 0.0, redis_mib: float = 0.0, redis_keys: float = 0.0
) -> list[Look]:
    """Return looks over twelve hours, with so much more an hour.

    Sessions of half an hour begin and end together: what Redis has rises by a half, and falls.
    """
    chance = random.Random(2)
    found = []
    for at_s in TWELVE_HOURS:
        hours, wave = at_s / 3_600, 1.0 + at_s % 1_800.0 / 3_600.0
        own = 400.0 + leak_mib * hours + chance.gauss(0.0, 3.0)
        open_files = round(2_700 + files * hours + chance.gauss(0.0, 40.0))
        found.append(
            Look(
                at_s=at_s,
                processes={"worker-0": Taken(7, own + 100.0, own, open_files, at_s / 4)},
                redis_mib=(2_000.0 + redis_mib * hours) * wave,
                redis_keys=round((90_000 + redis_keys * hours) * wave),
                busy_s=at_s,
            )
        )
    return found


@pytest.mark.parametrize(
    ("leak_mib", "files", "wrong"),
    [
        (0.0, 0.0, []),
        (0.5, 20.0, []),
        (2.0, 0.0, ["worker-0 grows"]),
        (19.0, 0.0, ["worker-0 grows"]),
        (0.0, 60.0, ["the open files of worker-0 grow"]),
        (0.0, 500.0, ["the open files of worker-0 grow"]),
    ],
)
def test_twelve_hours_find_what_half_an_hour_cannot(
    leak_mib: float, files: float, wrong: list[str]
) -> None:
    found = long_looks(leak_mib=leak_mib, files=files)
    assert judged(found, rows()) == wrong
    assert judged(found[:30], rows()) == []


@pytest.mark.parametrize(
    ("redis_mib", "redis_keys", "grown"),
    [
        (0.0, 0.0, []),
        (60.0, 0.0, ["memory"]),
        (0.0, 3_000.0, ["number of keys"]),
        (60.0, 3_000.0, ["memory", "number of keys"]),
    ],
)
def test_the_store_is_judged_behind_when_sessions_end_and_over_several_of_them(
    redis_mib: float, redis_keys: float, grown: list[str]
) -> None:
    seen = long_looks(redis_mib=redis_mib, redis_keys=redis_keys)
    found = figures.store(seen, turns=1, kept_s=2_700.0, wave_s=1_800.0)
    assert (found["judged"], found["grows"]) == (True, grown)
    half_an_hour = figures.store(seen[:31], turns=1, kept_s=2_700.0, wave_s=1_800.0)
    assert (half_an_hour["judged"], half_an_hour["grows"]) == (False, [])
    assert "Runs of 2.8 hours tell whether it goes on" in page(results(redis=half_an_hour))


def test_answers_that_take_longer_and_longer_are_named() -> None:
    def course(more_ms: float) -> list[dict[str, Any]]:
        chance = random.Random(3)
        return [
            {
                "from_s": 720.0 * at,
                "whole_ms": {"p95": 200 + more_ms * at / 5 + chance.randrange(40)},
            }
            for at in range(60)
        ]

    assert not figures.slower(course(0.0))
    assert not figures.slower(course(3.0))
    assert figures.slower(course(20.0))
    assert not figures.slower(course(20.0)[:3])
    assert not figures.slower([])
    said = figures.verdict(
        figures.summary(rows()), {}, restarted=[], taken_out=0, slower=True, redis_grows=["memory"],
        besides=["the cluster did not stop"],
    )  # fmt: skip
    assert said == [
        "the memory of Redis grows, behind when sessions end",
        "answers take longer and longer",
        "the cluster did not stop",
    ]


def unwatched(seen: list[Look], missed: dict[str, int], *, ended_s: float) -> list[str]:
    return figures.unwatched(seen, missed, began_s=0.0, ended_s=ended_s, every_s=60.0)


def test_a_run_that_nobody_watched_to_its_end_is_not_called_right() -> None:
    seen = long_looks()
    assert unwatched(seen, {"NotRunning": 3}, ended_s=43_200.0) == []
    assert unwatched(seen[:25], {}, ended_s=43_200.0) == [
        "nobody looked at the processes for 696 of 720 minutes"
    ]
    assert unwatched(seen[:100] + seen[200:], {}, ended_s=43_200.0) == [
        "nobody looked at the processes for 101 of 720 minutes"
    ]
    assert unwatched(seen, {"NotRunning": 60, "Fault": 1}, ended_s=43_200.0) == [
        "61 of 781 looks at the processes failed: NotRunning, Fault"
    ]
    assert unwatched([], {}, ended_s=43_200.0)


def test_the_page_says_which_leak_is_too_small_and_how_often_it_looked() -> None:
    shown = page(results(growth_judged_s=21_600.0, looks_missed={"NotRunning": 2}))
    assert "(here 0.83 an hour) or 200 open files (33)" in shown
    assert "looked at 120 times; 2 failed, 2 × NotRunning." in shown
    assert "| of them asked before (hot answers) | – |" in page(results(answer_cache={}))


def test_warm_up_is_no_growth() -> None:
    found = looks()
    warm = [
        Look(
            it.at_s,
            {
                name: Taken(1, 1.0, min(300.0, 100.0 + it.at_s / 17.0), 5, 1.0)
                for name in it.processes
            },
            it.redis_mib,
            it.redis_keys,
            it.busy_s,
        )
        for it in found
    ]
    assert judged(warm, rows()) == []


def test_all_that_was_not_right_is_named() -> None:
    seen = rows(errors={"an answer: frames are missing": 1}, refused={"503 unavailable": 2})
    seen[3].answered -= 2
    seen[4].told -= 1
    seen[5].skipped, seen[6].cut_off = 4, 3
    assert judged(looks(pids=(7, 8)), seen, taken_out=2) == [
        "18 × an answer: frames are missing",
        "36 × 503 unavailable, asked again",
        "worker-0 was started anew",
        "360 questions were asked, 358 answered",
        "360 questions were asked, 359 told",
        "HAProxy took a pod out 2 times: it did not answer its checks",
        "3 lines were cut or not opened; the users came back",
        "4 questions were due before the last answer was there",
    ]
    assert "nothing was asked" in judged(looks(), rows()[:1])


def test_what_others_took_is_what_neither_cluster_nor_clients_did() -> None:
    # 1.6 cores busy, two processes of half a core, clients of 0.2: 0.4 of two cores.
    assert figures.others(looks(), clients_cores=0.2, cores=2) == pytest.approx(0.2)


def test_the_store_is_told_by_turn() -> None:
    found = figures.store(looks(), turns=1_000, kept_s=60.0, wave_s=60.0)
    grown_mib = MINUTES[-1] / 100.0
    assert found["kib_a_turn"] == pytest.approx(grown_mib * 1024 / 1_000, rel=0.01)
    assert figures.store(looks(), turns=0, kept_s=60.0, wave_s=60.0)["kib_a_turn"] is None


def test_lines_of_haproxy_that_take_a_pod_out_are_found() -> None:
    log = "Server workers/worker-1 is UP\nServer workers/worker-1 is DOWN, reason: x\n{}\n"
    assert pods_taken_out(log) == ["Server workers/worker-1 is DOWN, reason: x"]


def results(**changed: Any) -> dict[str, Any]:
    seen, found = rows(), looks()
    return {
        "commit": "abc123", "machine": "2 cores", "workers": 3, "stopped_early": False,
        "plan": {"users": 8_000, "every_s": 60.0, "documents": 500, "fresh": 0.1, "known": 1_000,
                 "skew": 1.1, "cuts_per_hour": 1.0, "turns": 30, "session_ttl_s": 900},
        "wrong": [], "long_enough_for_growth": True, "machine_taken_by_others": 0.03,
        "users": figures.summary(seen),
        "answer_cache": {"hit": 90.0, "made": 10.0}, "over_time": figures.over_time(seen),
        "processes": figures.processes(found), "looks": len(found), "looks_missed": {},
        "growth_judged_s": figures.judged_s(found),
        "redis": figures.store(found, turns=360, kept_s=60.0, wave_s=60.0), **changed,
    }  # fmt: skip


def test_the_page_tells_where_what_and_whether_it_was_right() -> None:
    shown = page(results())
    for part in (
        "Commit abc123; 2 cores", "8,000 users", "**No error, and nothing grows.**",
        "| of them asked before (hot answers) | 90% |", "| 0 | 100 | 2 | 20 / 20 / 20 |",
        "| worker-0 |", "soak/latency.svg", "15 minutes more",
    ):  # fmt: skip
        assert part in shown, part
    assert "stopped" not in shown
    wrong = page(results(wrong=["worker-0 grows"], stopped_early=True))
    assert "**It was stopped before its end.**" in wrong
    assert "- worker-0 grows" in wrong
    assert "No error" not in wrong


def test_plots_draw_a_line_for_each_and_write_names_apart() -> None:
    drawn = plots(results(), looks())
    assert drawn["latency"].count("<polyline") == 3
    assert drawn["memory"].count("<polyline") == 2
    shown = courses_plot("A & b", {name: [(0.0, 1.0), (1.0, 1.0)] for name in "xyz"}, unit="ms")
    assert "A &amp; b, ms" in shown
    heights = [float(y) for y in re.findall(r'y="([0-9.]+)" style="fill', shown)]
    assert len(heights) == 3
    assert all(lower - upper >= 14.0 for upper, lower in pairwise(heights))
    assert courses_plot("empty", {"x": []}, unit="ms").endswith("</svg>\n")
