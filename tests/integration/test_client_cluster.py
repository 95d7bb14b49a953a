"""The Python client on a real cluster: its page's examples run. test_grpc_cluster kills pods."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.cluster import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "python-sdk.md"


@pytest.mark.long  # a cluster
def test_the_examples_of_the_page_run(cluster: Cluster) -> None:
    blocks = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text("utf-8"))
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for block in blocks:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            exec(block.replace("http://127.0.0.1:8080", cluster.url), names)
        wanted = re.findall(r"(?m)^\s*print\(.*\)\s+# (.*)$", block)
        assert [it for it in wanted if it not in told.getvalue()] == []
        assert told.getvalue().strip()
