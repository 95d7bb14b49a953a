"""Every example of the documentation is run by a test, or says why it is not."""

import re
from pathlib import Path

import pytest

from tests.doc_examples import ROOT, RUN_HERE, Example, examples_of, not_printed

PAGES = sorted(
    [ROOT / "README.md", ROOT / "README.zh.md", *(ROOT / "docs" / "how-to").glob("*.md")]
)

ELSEWHERE = {
    "library.md": "test_library_docs",
    "oidc.md": "test_oidc_described",
    "python-sdk.md": "test_client_cluster",
    "write-a-plugin.md": "test_tutorial_plugin",
    "channels.md": "test_channel_sample",
    "webhooks.md": "test_webhooks_signed",
}
"""Pages whose examples tests of their own run."""
ELSEWHERE_NEEDED = {
    "encoders.md": "two machines; test_cluster_encoder starts the same on one",
    "encryption.md": "a cluster of its own; test_encryption_command, test_cluster_sealed",
    "grpc.md": "grpcurl; test_grpc_cluster asks the same of a generated client",
    "handoff.md": "an agent's key; test_handoff goes the whole way",
    "kubernetes.md": "a Kubernetes cluster; make e2e-k8s",
    "least-rights.md": "a Redis and a Kafka to administer; test_redis_rights, test_kafka_secured",
    "limits.md": "another start of the cluster; test_limited_doors has pods with such settings",
    "observe.md": "a Kubernetes cluster or Docker",
    "retry-queue.md": "a part of a program; test_later_worker",
    "tls.md": "certificates and a Redis to administer; test_haproxy_tls, test_redis_tls",
    "traces.md": "a collector; test_cluster_traces",
    "turn-log.md": "a folder of the machine, and Elasticsearch",
    "voice.md": "a recording of the reader; test_voice_routes asks the same",
    "weaviate.md": "a Weaviate server; test_cluster_weaviate",
}
"""Pages whose examples need something else than a cluster, and what comes nearest to them."""
HERE = {Path(page).name for page in RUN_HERE}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_are_run_or_say_why_not(page: Path) -> None:
    silent = [
        example.line
        for example in examples_of(page)
        if not example.not_run
        and page.name not in HERE | ELSEWHERE.keys() | ELSEWHERE_NEEDED.keys()
    ]

    assert not silent, f"{page.name}: who runs the examples at lines {silent}?"


def test_the_tests_elsewhere_are_there() -> None:
    names = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(ELSEWHERE.values()) <= names


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)", index))

    for folder in ("how-to", "reference"):
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert f"{folder}/{page.name}" in linked, page.name
    for link in linked:
        assert (ROOT / "docs" / link).exists(), link


def test_examples_are_found_with_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "A\n```sh\ncurl a\n```\n```text\none…\n```\n<!-- not run: no b -->\n```sh\nb\n```\n"
    )

    assert examples_of(page) == [
        Example("sh", "curl a", ("one…",), 3, ""),
        Example("sh", "b", (), 10, "no b"),
    ]


def test_what_is_shown_has_to_be_printed_in_its_order() -> None:
    assert list(not_printed(("a…c", "d"), "abc\nd\n")) == []
    assert list(not_printed(("d", "a…c"), "abc\nd\n")) == ["a…c"]
