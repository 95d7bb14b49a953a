"""A pod answers what may not be asked as its description says.

What may be asked is in ``test_api_openapi``, by hand; ``test_interface_live`` plays all of it.
"""

import logging
from collections.abc import Iterator

import pytest
import schemathesis
import structlog

from kotaemon_node.api.app import create_app
from tests.fakes.services import FakeCluster
from tests.interface_cases import config, played


@pytest.fixture
def few_words() -> Iterator[None]:
    """Log only what is our own fault: two thousand requests are a second of log lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


DOORS = "/turns|^/chat|^/ask|^/v1/search|^/v1/sessions$"
"""Paths that are played here, within seconds; the others are played by ``make test-long``."""


@pytest.mark.usefixtures("few_words")
@pytest.mark.parametrize("doors", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_pod_refuses_as_it_is_described(doors: bool) -> None:
    app = create_app(FakeCluster().services())
    schema = schemathesis.openapi.from_wsgi(
        "/openapi.json", app, config=config(examples=0, modes="negative")
    )

    chosen = schema.include(path_regex=DOORS) if doors else schema.exclude(path_regex=DOORS)

    cases, findings = played(chosen)

    assert cases > 100
    assert not findings, "\n".join(str(finding) for finding in findings)
