"""What all tests share: the cluster, and the rule for public data sets."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cluster import cluster, shared_cluster

__all__ = ["cluster", "public_data", "shared_cluster"]

# How long an example takes says how busy the machine is.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

_VARIABLE = "KOTAEMON_TEST_DATA"
RERUNS_MAX = 5
"""A machine may stumble now and then; what fails at first more often than that is broken."""


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Return the folder of public data sets; for tests marked ``data``."""
    return Path(os.environ[_VARIABLE])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of public data where nobody named a folder of it."""
    if os.environ.get(_VARIABLE):
        return
    skip = pytest.mark.skip(reason=f"{_VARIABLE} names no folder of public data sets")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where the folder was named, a test of public data that skips has not been run: it fails."""
    report = yield
    wanted = bool(os.environ.get(_VARIABLE)) and item.get_closest_marker("data") is not None
    if wanted and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {_VARIABLE} is set: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests only passed at their second try, and fail where there are too many."""
    rerun = terminalreporter.stats.get("rerun", [])
    if len(rerun) > RERUNS_MAX:
        terminalreporter.write_line(f"{len(rerun)} tests failed at first: more than {RERUNS_MAX}")
        config = terminalreporter.config
        session = config.pluginmanager.get_plugin("session")
        if session is not None:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
