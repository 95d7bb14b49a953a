"""Alert rules: each fires when it should and not when it should not, and has its runbook."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_cases import CASES, Case, Series
from tests.prometheus_queries import ROOT, RULES, RUNBOOKS, alerts, panel_queries

ALERTS = {rule["alert"]: rule for rule in alerts()}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def block(name: str, series: Series, *, at_min: int, fires: bool) -> dict[str, Any]:
    """Return one test of promtool: how many alerts of that name fire at the end."""
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'}",
        "interval": "30s",
        "input_series": [{"series": one, "values": text} for one, text in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) > 0',
                "eval_time": f"{at_min}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


def written(folder: Path, name: str, case: Case) -> Path:
    """Write the tests of one alert, beside a copy of its rule alone: 32 take 32 times as long."""
    rules, tests = folder / f"{name}.rules.json", folder / f"{name}.json"  # JSON is YAML
    rules.write_text(json.dumps({"groups": [{"name": "one", "rules": [ALERTS[name]]}]}))
    blocks = [
        block(name, series, at_min=case.at_min, fires=fires)
        for fires, rows in ((True, case.fires), (False, case.quiet))
        for series in rows
    ]
    whole = {"rule_files": [str(rules)], "evaluation_interval": "30s", "tests": blocks}
    tests.write_text(json.dumps(whole))
    return tests


def test_each_alert_fires_when_it_should_and_not_when_it_should_not(tmp_path: Path) -> None:
    assert CASES.keys() == ALERTS.keys()
    files = [written(tmp_path, name, case) for name, case in CASES.items()]

    done = promtool("test", "rules", *map(str, files))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(CASES)


def test_the_rules_are_sound() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_prometheus_understands_every_query_of_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:query{place}", "expr": asked.expr}
        for place, asked in enumerate(panel_queries())
    ]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = promtool("check", "rules", str(file))

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scrape_configuration_is_sound(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace(config["rule_files"][0], str(RULES)))

    done = promtool("check", "config", str(file))

    assert done.returncode == 0, done.stdout + done.stderr
    assert {"kotaemon-worker", "kotaemon-coordinator", "kotaemon-haproxy"} <= jobs
    assert f"{len(ALERTS)} rules found" in done.stdout


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_means_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    told = rule["annotations"]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert told["summary"]
    assert told["description"].endswith(".")
    assert told["runbook_url"] == f"docs/runbooks/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_answers_the_five_questions(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()

    assert text.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == [
        "What it means",
        "What users notice",
        "How to look",
        "What to do",
        "How to know that it is over",
    ]
    sections = re.split(r"^## .+$", text, flags=re.M)[1:]
    assert all(len(section.strip()) > 20 for section in sections)
    # Who is sent here by an alert has to find what to type where the cluster runs.
    assert "(../how-to/observe.md#type-what-a-runbook-says)" in sections[2]


def test_there_is_no_runbook_without_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("Kotaemon*.md")} == ALERTS.keys()


def test_the_guide_lists_every_alert_with_its_severity() -> None:
    text = (ROOT / "docs" / "how-to" / "observe.md").read_text()
    listed = re.findall(r"^\| \[(\w+)\]\(\.\./runbooks/(\w+)\.md\) \| (\w+) \|", text, re.M)

    assert listed == [(name, name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]
