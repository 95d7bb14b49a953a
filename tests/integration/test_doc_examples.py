"""The examples of the documentation do what they show, against a whole cluster."""

from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster
from tests.doc_examples import ROOT, RUN_HERE, examples_of, run_python, run_shell

RUNS = {"sh": run_shell, "python": run_python}


@pytest.mark.long  # a cluster of its own: what the examples change is theirs
@pytest.mark.timeout(600)
def test_the_examples_of_the_pages_run(tmp_path: Path) -> None:
    problems = []
    with Cluster(tmp_path / "data", plugins="sample", workers=2) as cluster:
        for name in RUN_HERE:
            folder = tmp_path / name.replace("/", "-")
            folder.mkdir()
            examples = [example for example in examples_of(ROOT / name) if not example.not_run]
            for kind, run in RUNS.items():
                those = [example for example in examples if example.kind == kind]
                found = run(those, url=cluster.url, folder=folder, data=cluster.folder.path)
                problems += [f"{name}: {problem}" for problem in found]
        assert requests.get(f"{cluster.url}/readyz", timeout=10).status_code == 200

    assert not problems, "\n".join(problems)
