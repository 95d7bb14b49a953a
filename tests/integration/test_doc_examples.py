"""The examples of the documentation do what they show, against a whole cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cluster import Cluster
from tests.doc_examples import (
    ROOT,
    Example,
    examples_of,
    run_javascript,
    run_python,
    run_shell,
    run_talk,
)
from tests.documented.blocks import catalogue, shown_by

BY = "integration/test_doc_examples.py"
PAGES = sorted(
    (page for page in catalogue() if shown_by(BY, page)),
    key=lambda page: "acting" not in page,  # others cancel its order
)
HOME = {"manuals/kettle.txt": "The kettle holds two litres."}
BESIDE = {
    "guide.pdf": "%PDF-1.4",
    "cups.md": "# Cups\n\nCups are of stoneware.",
    "handbook.md": "A",
}


@pytest.mark.long  # a cluster of its own: what the examples change is theirs
@pytest.mark.timeout(600)
def test_the_examples_of_the_pages_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # what a page names in it is a file of the reader's
    monkeypatch.setenv("AGENT_KEY", "none")  # the cluster is open
    for name, text in HOME.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    problems = []
    with Cluster(tmp_path / "data", plugins="sample", workers=2) as cluster:
        for name in PAGES:
            problems += [f"{name}: {problem}" for problem in _problems(name, cluster, tmp_path)]
        assert requests.get(f"{cluster.url}/readyz", timeout=10).status_code == 200

    assert not problems, "\n".join(problems)


def _problems(page: str, cluster: Cluster, room: Path) -> Iterator[str]:
    folder = room / page.replace("/", "-")
    folder.mkdir()
    for file, text in BESIDE.items():
        (folder / file).write_text(text)
    url, data = cluster.url, cluster.folder.path
    shell, python, script = (_examples(page, kinds) for kinds in KINDS)
    yield from run_shell(shell, url=url, folder=folder, data=data)
    if python:
        yield from run_python(python, url=url, folder=folder, data=data)
    if script:
        yield from run_javascript(script, url=url, folder=folder)
    for block in shown_by(BY, page):
        if block.kind == "":
            yield from run_talk(block.text, url=url)


KINDS = (("sh",), ("python",), ("js", "javascript"))


def _examples(page: str, kinds: tuple[str, ...]) -> list[Example]:
    lines = {block.line + 1 for block in shown_by(BY, page)}
    return [it for it in examples_of(ROOT / page, kinds) if it.line in lines]
