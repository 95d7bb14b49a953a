"""``status``, ``search`` and ``chat`` against a real cluster with the sample knowledge."""

from pathlib import Path

import requests

from tests.cluster import Cluster


def test_chat_answers_with_citations_and_names_the_sources(cluster: Cluster) -> None:
    done = cluster.command("chat", "How many days do I have to return an item?")

    assert done.returncode == 0, done.stderr
    assert "30 days" in done.stdout
    assert "[1]" in done.stdout
    assert "returns.md" in done.stdout


def test_chat_goes_on_in_a_session(cluster: Cluster) -> None:
    for question in ("保修期是多久？", "How long is the warranty of lamps?"):
        done = cluster.command("chat", question, "--session", "from-the-terminal")
        assert done.returncode == 0, done.stderr

    session = requests.get(f"{cluster.url}/v1/sessions/from-the-terminal", timeout=10).json()
    assert [turn["message"][:3] for turn in session["turns"]] == ["保修期", "How"]


def test_search_shows_the_best_passage_with_its_document(cluster: Cluster) -> None:
    done = cluster.command("search", "warranty of lamps", "--top-k", "1")

    assert done.returncode == 0, done.stderr
    assert "[1]" in done.stdout
    assert "[2]" not in done.stdout
    assert "warranty.html" in done.stdout


def test_status_shows_each_pod_and_what_it_serves(cluster: Cluster) -> None:
    done = cluster.command("status")

    assert done.returncode == 0, done.stderr
    for name in ("worker-0", "worker-1", "worker-2"):
        assert name in done.stdout
    assert "3 pods; they agree" in done.stdout


def test_an_unknown_knowledge_base_is_the_clusters_refusal(cluster: Cluster) -> None:
    done = cluster.command("search", "anything", "--kb", "nobody")

    assert done.returncode == 1
    assert "The cluster answered 404" in done.stderr


def test_a_cluster_that_does_not_run_is_said(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "data")

    nowhere = cluster.command("chat", "hello")
    away = cluster.command("status", "--url", "http://127.0.0.1:1")

    assert nowhere.returncode == 2
    assert "There is no cluster in the data folder" in nowhere.stderr
    assert away.returncode == 1
    assert "No cluster answers" in away.stderr
