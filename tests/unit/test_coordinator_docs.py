"""The reference of the coordinator's metrics is the table in the code."""

import re
from pathlib import Path

from coordinator.archive_metrics import ARCHIVE_COUNTERS, ARCHIVE_SECONDS
from coordinator.metrics import BUILD_SECONDS, COUNTERS, GAUGES
from kotaemon_node.telemetry.audit_metrics import AUDIT_CATALOGUE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "coordinator-metrics.md"


def test_the_reference_lists_every_metric_with_its_labels_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.+) \|$", REFERENCE.read_text("utf-8"), re.M)
    documented = [
        (name, meaning, tuple(re.findall(r"`(\w+)`", labels))) for name, labels, meaning in rows
    ]
    archive = [*ARCHIVE_COUNTERS, (*ARCHIVE_SECONDS, ())]
    audit = [(row.name, row.meaning, row.labels) for row in AUDIT_CATALOGUE]
    assert documented == [*GAUGES, *COUNTERS, (*BUILD_SECONDS, ()), *archive, *audit]
