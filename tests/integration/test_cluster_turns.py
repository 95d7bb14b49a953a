"""Turns on the running cluster: real HAProxy, Redis, workers and coordinator."""

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.cluster import Cluster
from tests.fakes.llm_server import FakeLlmServer

QUESTION = "How long does standard delivery to Singapore take?"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("turns")) as running:
        yield running


def new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def ask(base: str, session_id: str, message: str, **fields: Any) -> requests.Response:
    return requests.post(
        f"{base}/v1/sessions/{session_id}/turns",
        json={"message": message, **fields},
        timeout=90,
    )


def history(base: str, session_id: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{base}/v1/sessions/{session_id}", params={"limit": 200}, timeout=30)
    assert answer.status_code == 200, answer.text
    turns: list[dict[str, Any]] = answer.json()["turns"]
    return turns


def frames_of(response: requests.Response) -> list[dict[str, Any]]:
    """Read a stream to its end and check each frame against its SSE fields."""
    frames, fields = [], {}
    for line in response.iter_lines():
        if line:
            if not line.startswith(b":"):
                name, _, value = line.partition(b": ")
                fields[name.decode()] = value.decode()
        elif fields:
            frame = json.loads(fields["data"])
            assert fields["event"] == frame["type"]
            if "seq" in frame:
                assert fields["id"] == f"{frame['turn_id']}:{frame['seq']}"
            frames.append(frame)
            fields = {}
    return frames


def text_of(frames: list[dict[str, Any]]) -> str:
    return "".join(frame["content"] for frame in frames if frame["type"] == "text")


def worker_urls(cluster: Cluster) -> list[str]:
    return [f"http://127.0.0.1:{port}" for port in cluster.worker_ports()]


def test_a_question_gets_an_answer_that_cites_its_source(cluster: Cluster) -> None:
    answer = requests.post(
        f"{cluster.url}/chat", json={"session_id": new_id("s"), "message": QUESTION}, timeout=90
    )
    assert answer.status_code == 200
    body = answer.json()
    assert "2 to 3 working days" in body["response"]
    assert "[1]" in body["response"]
    source = body["sources"][0]
    assert source["document"].startswith("shipping")

    page = requests.get(cluster.url + source["url"], timeout=30).json()
    start, end = page["span"]
    assert "2 to 3 working days" in page["text"][start:end]
    assert page["generation"] == source["generation"]
    assert answer.headers["X-Served-By"].startswith("worker-")
    assert answer.headers["X-Trace-ID"] == body["trace_id"]


def test_a_chinese_question_gets_a_chinese_answer(cluster: Cluster) -> None:
    answer = requests.get(
        f"{cluster.url}/ask", params={"q": "标准配送到新加坡需要多长时间？"}, timeout=90
    ).json()
    assert "2" in answer["answer"]
    assert "工作日" in answer["answer"]
    assert answer["source"][0]["document"].endswith("-zh.md")


def test_what_nobody_wrote_down_is_not_known(cluster: Cluster) -> None:
    for question in ("Who won the football world cup in 1998?", "水星上有多少座火山？"):
        answer = requests.get(f"{cluster.url}/ask", params={"q": question}, timeout=90).json()
        assert answer["source"] == [], answer
        assert "[1]" not in answer["answer"]


def test_a_stream_is_numbered_and_any_pod_repeats_its_rest(cluster: Cluster) -> None:
    session_id, turn_id = new_id("s"), new_id("t")
    with requests.post(
        f"{cluster.url}/v1/sessions/{session_id}/turns",
        json={"message": QUESTION, "turn_id": turn_id},
        headers={"Accept": "text/event-stream"},
        stream=True,
        timeout=90,
    ) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        frames = frames_of(response)

    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    kinds = [frame["type"] for frame in frames]
    assert kinds[0] == "status"
    assert kinds.index("source") < kinds.index("text")
    assert kinds[-1] == "done"
    assert text_of(frames) == frames[-1]["answer"]

    for base in worker_urls(cluster):
        with requests.get(
            f"{base}/v1/sessions/{session_id}/turns/{turn_id}/stream",
            headers={"Last-Event-ID": f"{turn_id}:2"},
            stream=True,
            timeout=90,
        ) as rest:
            assert frames_of(rest) == frames[2:]
        beyond = requests.get(
            f"{base}/v1/sessions/{session_id}/turns/{turn_id}/stream",
            params={"after": len(frames) + 1},
            timeout=90,
        )
        assert beyond.status_code == 410
        assert beyond.json()["error"]["code"] == "gone"


def test_twenty_turns_at_once_on_one_session_none_lost_and_order_kept(cluster: Cluster) -> None:
    session_id = new_id("s")
    start = threading.Barrier(20)

    def post(number: int) -> int:
        start.wait()
        answer = ask(cluster.url, session_id, f"{QUESTION} ({number})", turn_id=f"t{number}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "done"
        return int(answer.json()["version"])

    with ThreadPoolExecutor(20) as pool:
        versions = list(pool.map(post, range(20)))
    turns = history(cluster.url, session_id)
    assert sorted(versions) == list(range(1, 21))
    assert [turn["version"] for turn in turns] == list(range(1, 21))
    assert {turn["turn_id"] for turn in turns} == {f"t{number}" for number in range(20)}
    for turn in turns:
        assert versions[int(turn["turn_id"][1:])] == turn["version"]


def test_every_worker_gives_the_same_answer_and_the_same_history(cluster: Cluster) -> None:
    session_id = new_id("s")
    bases = worker_urls(cluster)
    answers = [ask(base, session_id, QUESTION).json() for base in bases]
    assert len({answer["answer"] for answer in answers}) == 1
    assert len({json.dumps(answer["sources"]) for answer in answers}) == 1
    assert {answer["owner"].split(".")[0] for answer in answers} == {
        row["name"] for row in cluster.ps() if row["role"] == "worker"
    }
    assert len({json.dumps(history(base, session_id)) for base in bases}) == 1
    assert [turn["version"] for turn in history(bases[0], session_id)] == [1, 2, 3]


def test_one_turn_id_on_every_door_runs_once(cluster: Cluster) -> None:
    session_id, turn_id = new_id("s"), new_id("t")
    doors = [cluster.url, *worker_urls(cluster)] * 5
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda base: ask(base, session_id, QUESTION, turn_id=turn_id).json(), doors)
        )
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len(history(cluster.url, session_id)) == 1
    assert ask(cluster.url, session_id, "another body", turn_id=turn_id).status_code == 409


@pytest.mark.parametrize("round_", range(3))
def test_the_death_of_the_pod_that_served_last_costs_nobody_anything(
    cluster: Cluster, round_: int
) -> None:
    session_id = new_id("s")
    first = ask(cluster.url, session_id, QUESTION)
    victim = first.headers["X-Served-By"]
    cluster.kill(victim, signal.SIGKILL)

    second = ask(cluster.url, session_id, "And to Malaysia?")
    assert second.status_code == 200, second.text
    assert second.json()["state"] == "done"
    assert second.headers["X-Served-By"] != victim
    turns = history(cluster.url, session_id)
    assert [turn["version"] for turn in turns] == [1, 2]
    assert turns[0]["answer"] == first.json()["answer"]
    cluster.wait_ready()


def test_pods_agree_on_what_they_serve(cluster: Cluster) -> None:
    cluster.wait_ready()
    seen: dict[str, Any] = {}

    def converged() -> bool:
        seen.update(requests.get(f"{cluster.url}/v1/cluster", timeout=30).json())
        return bool(seen["converged"]) and len(seen["pods"]) == 3

    # A pod that was killed before tells with its next heartbeat what it serves.
    cluster.wait_until(converged, what="the pods agree")
    served = [
        {kb: (row["generation"], row["digest"]) for kb, row in pod["generations"].items()}
        for pod in seen["pods"]
    ]
    assert served[0] == served[1] == served[2]
    assert isinstance(seen["since"], float)
    assert seen["pods"][0]["generations"]["default"]["generation"] >= 1


def test_a_session_is_known_by_its_turns_and_gone_when_deleted(cluster: Cluster) -> None:
    session_id = new_id("s")
    ask(cluster.url, session_id, QUESTION)
    rows = requests.get(f"{cluster.url}/v1/sessions", timeout=30).json()["sessions"]
    assert rows[0]["session_id"] == session_id
    deleted = requests.delete(f"{cluster.url}/v1/sessions/{session_id}", timeout=30)
    assert deleted.status_code == 204
    for base in worker_urls(cluster):
        gone = requests.get(f"{base}/v1/sessions/{session_id}", timeout=30)
        assert gone.status_code == 404
        assert gone.json()["error"]["code"] == "session_not_found"


def test_sessions_survive_the_death_of_redis(cluster: Cluster) -> None:
    session_id = new_id("s")
    ask(cluster.url, session_id, QUESTION)
    # What the append-only file holds is there again; it is written every second.
    before = history(cluster.url, session_id)
    cluster.kill("redis", signal.SIGKILL)
    cluster.wait_ready()
    assert history(cluster.url, session_id) == before
    assert ask(cluster.url, session_id, "And express?").status_code == 200


@pytest.mark.long
def test_a_language_model_streams_through_the_cluster_and_its_pods_death(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The answer of a model that continues prefixes goes on in mid-sentence on another pod."""
    with (
        FakeLlmServer(first_ms=20, token_ms=60, tokens_min=40) as model,
        Cluster(
            tmp_path_factory.mktemp("llm"),
            environment={
                "LLM_BASE_URL": model.base_url,
                "LLM_CONTINUE": "vllm",
                "ANSWER_CACHE_TTL_S": "0",
            },
        ) as cluster,
    ):
        whole = ask(cluster.url, new_id("s"), QUESTION).json()
        assert whole["degraded"] is None
        assert whole["usage"]["completion_tokens"] > 0

        session_id, turn_id = new_id("s"), new_id("t")
        frames: list[dict[str, Any]] = []
        pids = {row["name"]: row["pid"] for row in cluster.ps()}
        killed = False
        response = requests.post(
            f"{cluster.url}/v1/sessions/{session_id}/turns",
            json={"message": QUESTION, "turn_id": turn_id},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=90,
        )
        victim = response.headers["X-Served-By"]
        try:
            for line in response.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    frames.append(json.loads(line[6:]))
                if not killed and sum(frame["type"] == "text" for frame in frames) == 3:
                    os.kill(pids[victim], signal.SIGKILL)
                    killed = True
        except requests.exceptions.ChunkedEncodingError:
            pass  # the stream of a killed pod breaks; that is what resuming is for
        assert killed
        assert frames[-1]["type"] == "text"

        with requests.get(
            f"{cluster.url}/v1/sessions/{session_id}/turns/{turn_id}/stream",
            headers={"Last-Event-ID": f"{turn_id}:{frames[-1]['seq']}"},
            stream=True,
            timeout=90,
        ) as rest:
            frames += frames_of(rest)
        assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
        assert "restart" not in {frame["type"] for frame in frames}
        assert text_of(frames) == frames[-1]["answer"] == whole["answer"]
        turn = requests.get(
            f"{cluster.url}/v1/sessions/{session_id}/turns/{turn_id}", timeout=30
        ).json()
        assert turn["attempts"] == 2
        assert turn["owner"].split(".")[0] != victim

        # A pod that is asked to stop ends the stream that it has, and takes no other.
        with requests.post(
            f"{cluster.url}/v1/sessions/{new_id('s')}/turns",
            json={"message": QUESTION},
            headers={"Accept": "text/event-stream"},
            stream=True,
            timeout=90,
        ) as stream:
            leaving = stream.headers["X-Served-By"]
            pids = {row["name"]: row["pid"] for row in cluster.ps()}
            os.kill(pids[leaving], signal.SIGTERM)
            frames = frames_of(stream)
        assert frames[-1]["type"] == "done"
        assert text_of(frames) == whole["answer"]
