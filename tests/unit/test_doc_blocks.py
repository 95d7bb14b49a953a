"""Each block of the documentation is shown in a way that the catalogue names, and holds today."""

import ast
import importlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.documented import programs, requests
from tests.documented.blocks import (
    CATALOGUE,
    CLASSES,
    ROOT,
    SHELLS,
    Block,
    Row,
    blocks_in,
    blocks_of,
    catalogue,
    matched,
    pages,
    spans_of,
    typed,
)
from tests.documented.readers import READERS
from tests.documented.shell import Command, commands

PAGES = pages()
WITH_BLOCKS = [page for page in PAGES if blocks_of(page)]
TESTS = ROOT / "tests"
READ = [
    pytest.param(block, row.reader, id=f"{Path(page).name}-{row.reader}-{place}")
    for page in WITH_BLOCKS
    for place, (block, row) in enumerate(matched(page)[0])
    if row.reader
]
BY_CATALOGUE = {"integration/test_doc_examples.py", "integration/test_doc_stories.py"}
"""Tests that take from the catalogue what they run."""


def test_every_block_has_a_row_and_every_row_a_block() -> None:
    problems = [problem for page in WITH_BLOCKS for problem in matched(page)[1]]
    problems += [
        f"{CATALOGUE.name}: {page} has no blocks" for page in catalogue() if page not in WITH_BLOCKS
    ]

    assert not problems, "\n".join(problems)
    counted = Counter(row.how for rows in catalogue().values() for row in rows)
    assert counted.keys() == set(CLASSES)
    assert counted["run"] > counted["checked"], counted


@pytest.mark.parametrize("page", sorted(catalogue()))
def test_every_row_says_by_what(page: str) -> None:
    for block, row in matched(page)[0]:
        assert not list(_unsaid(block, row)), f"{block.where}: {list(_unsaid(block, row))}"


def _unsaid(block: Block, row: Row) -> list[str]:
    """Return what a row leaves open, or says twice."""
    shell_or_python = block.kind in SHELLS or block.kind == "python"
    wrong = {
        "a picture has no language, and what has one is none": (
            row.how == "picture" and block.kind != ""
        ),
        "only a shell's lines and Python are checked": (
            row.how == "checked" and not shell_or_python
        ),
        "what does a run need? Said once: by `needs`, or on the page": (
            row.how == "checked" and bool(row.needs) == bool(block.not_run)
        ),
        "who runs it? And the page must not say that nobody does": (
            row.how == "run" and (not row.by or block.not_run != "")
        ),
        "who reads it: `by` a test, or `as` a reader?": (
            row.how == "read" and bool(row.by) == bool(row.reader)
        ),
        f"readers.py has no {row.reader}": row.reader not in {"", *READERS},
        f"{row.by} is no test of this page": row.by != "" and not _is_about(row.by, block.page),
    }
    names = {path.stem for path in TESTS.rglob("test_*.py")}
    gone = [
        f"no test {it}"
        for it in re.findall(r"\btest_\w+", row.needs + block.not_run)
        if it not in names
    ]
    return [told for told, holds in wrong.items() if holds] + gone


def _is_about(test: str, page: str) -> bool:
    file = TESTS / test
    return file.is_file() and (test in BY_CATALOGUE or Path(page).name in file.read_text("utf-8"))


@pytest.mark.parametrize(("block", "reader"), READ)
def test_a_file_is_one_that_the_product_reads(block: Block, reader: str, tmp_path: Path) -> None:
    READERS[reader](block, tmp_path)


BROKEN = {
    "error_answer": ('"code"', '"kind"'),
    "frame": ('"seq":3', '"seq":4'),
    "message": ('"text"', '"words"'),
    "probes": ("documents:", "files:"),
    "reply": ('"in_reply_to"', '"reply_to"'),
    "socket_message": ('"resume"', '"resumed"'),
    "webhook": ("turn.completed", "turn.ended"),
    "answer_headers": ("RateLimit-Policy", "RateLimit-Rules"),
    "auth0_action": ("kotaemon.example/roles", "kotaemon.example/groups"),
    "chart_values": ("mode:", "mdoe:"),
    "compose": ("services:", "servces:"),
    "faq_line": ('"question"', '"ask"'),
    "findings": ("1 findings", "1 finding"),
    "follow_ups": ("to Canada take?", "to Canada cost?"),
    "grpc_service": ("kotaemon.v1", "kotaemon.v2"),
    "intent_question": ('"topic"', '"theme"'),
    "limits": ("requests_per_minute", "requests_a_minute"),
    "live_experiment": ("share:", "part:"),
    "outcome": ("true", '"yes"'),
    "pod": ("httpGet", "httpget"),
    "talks": ("says:", "say:"),
    "turn_log_template": ('"trace_id"', '"trace"'),
    "webhooks": ("events:", "event:"),
}
"""What is put in the place of what, in a block of each reader, that makes it wrong."""


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_refuses_what_is_wrong(reader: str, tmp_path: Path) -> None:
    rows = (row for page in WITH_BLOCKS for row in matched(page)[0])
    block = next(block for block, row in rows if row.reader == reader)
    right, wrong = BROKEN[reader]
    assert right in block.text

    with pytest.raises(Exception):  # noqa: B017, PT011 - each reader has errors of its own
        READERS[reader](replace(block, text=block.text.replace(right, wrong)), tmp_path)


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_what_its_commands_name_is_there(page: str) -> None:
    shells = [block for block in blocks_of(page) if block.kind in SHELLS]
    names = frozenset(re.findall(r"\$\{?(\w+)", "\n".join(block.text for block in shells)))

    problems = [
        f"{block.where}: {problem}"
        for block in shells
        for problem in programs.problems(typed(block), names=names)
    ]

    assert not problems, "\n".join(problems)


def test_what_its_sentences_name_is_there() -> None:
    problems = [
        f"{page}:{line}: `{span}`: {problem}"
        for page in PAGES
        for line, span in spans_of(page)
        for problem in programs.sentence_problems(span)
    ]

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_its_python_compiles_and_imports_what_is_there(page: str) -> None:
    for block in blocks_of(page):
        if block.kind != "python":
            continue
        for node in ast.walk(ast.parse(block.text, filename=block.where)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kotaemon_node"):
                module = importlib.import_module(str(node.module))
                missing = [it.name for it in node.names if not hasattr(module, it.name)]
                assert not missing, f"{block.where}: {node.module} has no {missing}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kotaemon ps --jsn", "No such option"),
        ("kotaemon plugin list", "No such command"),
        ("kotaemon backup verify --all everything", "unexpected"),
        ("kotaemon up --workers many", "valid integer"),
        ("make benches", "No rule"),
        ("make bench ARGS='--onyl cached'", "has no --onyl"),
        ("make run PROT=1", "knows no PROT"),
        ("python -m load.bench.nothing", "no module"),
        ("SESSION_TTL=5 kotaemon up", "SESSION_TTL is no setting"),
        ("SESSION_TTL_S=soon kotaemon up", "SESSION_TTL_S=soon"),
        ("curl http://127.0.0.1:8080/v1/session/x", "no route GET /v1/session/x"),
        ("curl -X PUT $URL/chat", "no route PUT /chat"),
        ("curl $URL/v1/search?query=x", "has no parameter query"),
        ("""curl $URL/chat -d '{"mesage": "x"}'""", "message"),
        ("helm upgrade shop helm/kotaemon --set worker.replica=3", "no value worker.replica"),
        ("kubectl logs shop-kotaemon-workers-0", "the chart makes no"),
        ("docker compose stop worker-9", "no service worker-9"),
        ("docker compose run --rm admin keys make", "No such command"),
        ("pip install 'kotaemon-cluster[speech]'", "no such extra"),
        ("grpcurl 127.0.0.1:9090 kotaemon.v1.Kotaemon/Ask", "has no Ask"),
        ("redis-cli --scan --pattern 'kn:answers:*'", "no keys"),
        ("kill -9 <pid of a worker>", "placeholder"),
        ("kotaemonctl ps", "no check knows"),
    ],
)
def test_what_is_not_there_is_found(text: str, problem: str) -> None:
    assert any(problem in told for told in programs.problems(text)), list(programs.problems(text))


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        ("kotaemon keys craete", "No such command"),
        ("GET /v1/session", "no route"),
        ("REDIS_ULR", "nothing of ours"),
        ("AUTH_MODE=key", "AUTH_MODE=key"),
        ("make tests", "No rule"),
    ],
)
def test_what_a_sentence_names_wrongly_is_found(span: str, problem: str) -> None:
    assert any(problem in told for told in programs.sentence_problems(span))


def test_a_shell_is_read_as_a_shell_reads_it() -> None:
    text = """A=1 b "c d" 'e #' >f 2>&1 # g
cat > h <<'END'
not a command
END
i() { j; } && k $(l "m)" n) | o \\
  p
export Q=${R:-s}"""

    assert list(commands(text)) == [
        Command(1, ("b", "c d", "e #"), (("A", "1"),)),
        Command(2, ("cat",), ()),
        Command(5, ("i",), ()),
        Command(5, ("j",), ()),
        Command(5, ("k", '$(l "m)" n)'), ()),
        Command(1, ("l", "m)", "n"), ()),
        Command(5, ("o", "p"), ()),
        Command(7, (), (("Q", "${R:-s}"),)),
    ]


def test_no_block_is_without_a_fence() -> None:
    """Four blanks make a block, too: one that says no language, and that nobody would find."""
    bare = [
        f"{page}:{token.map[0] + 1}"
        for page in PAGES
        for token in MarkdownIt().parse((ROOT / page).read_text("utf-8"))
        if token.type == "code_block" and token.map
    ]

    assert not bare


def test_a_block_ends_where_its_fence_does() -> None:
    text = "- a\n  ```sh\n  one\n    two\n  ```\n````text\n```\n````\n"

    assert blocks_in(text, page="p.md") == [
        Block("p.md", 2, "sh", "one\n  two"),
        Block("p.md", 6, "text", "```"),
    ]
    with pytest.raises(AssertionError, match="does not end"):
        blocks_in("```sh\n", page="p.md")


def test_a_request_is_what_curl_would_send() -> None:
    asked = requests.request_of(("curl", "-sG", "u/a", "--data-urlencode", "q=x", "-d", "k=1"))
    assert (asked.method, asked.query, asked.body) == ("GET", ("q=x", "k=1"), None)
    sent = requests.request_of(("curl", "-XPUT", "u/a", "-H", "x: y", "-d", "{}"))
    assert (sent.method, sent.body) == ("PUT", "{}")
    assert requests.request_of(("curl", "-F", "file=@a", "u")).method == "POST"
