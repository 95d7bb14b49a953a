"""The page of the library: its examples run as they stand, on a real index and a real Redis."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from kotaemon_node.library.config import ConfigProblem, parse_config
from tests.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "library.md"


@pytest.mark.long  # builds an index and starts a plugin
def test_the_examples_of_the_page_run(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.wipe()
    monkeypatch.chdir(tmp_path)
    for name in ("LLM_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    blocks = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text("utf-8"))
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    for block in blocks:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            exec(block.replace("redis://127.0.0.1:6379/0", redis_server.url), names)
        # What stands behind a print is what it prints.
        wanted = re.findall(r"(?m)^print\(.*\)\s+# (.*)$", block)
        lines = told.getvalue().splitlines()
        beginnings = [line.removesuffix(" …") for line in wanted]
        assert [it for it in beginnings if not any(line.startswith(it) for line in lines)] == []
    assert "two weeks" in told.getvalue()


def test_a_file_that_is_wrong_says_where() -> None:
    with pytest.raises(ConfigProblem) as problem:
        parse_config(
            "retriver: {}\nretriever: {type: dens}\ntop_k: 0\nknowledge: []\n", file=Path("r.yaml")
        )
    told = str(problem.value).splitlines()
    assert [line.split(":")[1] for line in told] == ["1", "2", "3", "4"]
    assert "did you mean retriever?" in told[0]
    assert (
        parse_config("experiment: x\nevaluation: {dataset: d}\n", file=Path("r.yaml")).model == ""
    )
