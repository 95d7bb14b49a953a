"""What all tests share: the cluster, and the rule for public data sets."""

import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer

from tests.cluster import cluster, shared_cluster
from tests.sharing import SharingTogether, end_unshared, unlisted

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
    """Refuse what would start twice; skip tests of public data where no folder of it is named."""
    short = [item for item in items if item.get_closest_marker("long") is None]
    if missing := unlisted(short):
        raise pytest.UsageError(*missing)
    if os.environ.get(_VARIABLE):
        return
    skip = pytest.mark.skip(reason=f"{_VARIABLE} names no folder of public data sets")
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Leave the tests that were collected out of collections of garbage: a million objects."""
    gc.collect()
    gc.freeze()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharingTogether | None:
    """Deal out files so that those which share something meet in one process."""
    return SharingTogether(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """End what the next file does not share; where one process has all files, a later one may."""
    try:
        yield
    finally:
        if hasattr(item.config, "workerinput"):
            end_unshared(nextitem)


def pytest_sessionfinish() -> None:
    """End what a run left that was broken off."""
    end_unshared(None)


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
