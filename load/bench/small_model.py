"""A real small language model answers end to end, and its answers survive the death of their pod.

    python -m load.bench.small_model --python ENV/bin/python --gguf MODEL.gguf \\
        --out load/results/small_model

A whole cluster, and a llama.cpp server that runs the model on this machine's processors. Asked are
questions about three short documents; then the pod is killed in the middle of an answer, with a
server that continues a given beginning (``LLM_CONTINUE=prefill``) and with one that does not
(``none``). What a model of this size says, or cites, is not judged; whether it is whole is.
"""

import argparse
import json
import platform
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from kotaemon_node.chaos.reader import Reading, TurnReader
from kotaemon_node.chaos.reader.reading import Arrival
from kotaemon_node.local.ports import choose_block
from load import surroundings
from load.kept import keep, progress
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    "returns.md": "# Returns\n\nYou may return a lamp within 30 days. The return is free of"
    " charge.\nThe money is paid back within 5 days after the lamp has arrived in our warehouse.\n",
    "delivery.md": "# Delivery\n\nA parcel to Norway takes 4 days and costs 12 euros. A parcel to"
    " Sweden takes 3 days and costs 9 euros. Parcels leave our warehouse at noon.\n",
    "warranty.md": "# Warranty\n\nEvery lamp has a warranty of 24 months. The warranty does not"
    " cover bulbs.\n",
}
QUESTIONS = (
    "Within how many days may I return a lamp?",
    "How many days does a parcel to Norway take?",
    "How many months of warranty does a lamp have?",
)
LONG = "Explain step by step everything that happens when I return a lamp, in many sentences."
TRIES = 4
"""Of a question: the first ones fill the model's cache, on a busy machine beyond our limits."""
_START_S = 120.0


@contextmanager
def small_model(python: Path, gguf: Path) -> Iterator[str]:
    """Run the server; yield what LLM_BASE_URL is set to."""
    port = choose_block(1)
    script = Path(__file__).with_name("small_model_server.py")
    process = subprocess.Popen(
        [str(python), str(script), str(gguf), str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and process.poll() is None:
            # It lists its model before it has loaded it.
            if _answers(url):
                break
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    asked = {"model": "small", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        return requests.post(f"{url}/chat/completions", json=asked, timeout=60).ok
    except requests.RequestException:
        return False


@contextmanager
def answering_cluster(folder: Path, url: str, *, continues: str) -> Iterator[Cluster]:
    """Run a cluster that asks the model at ``url``."""
    knowledge = folder / "knowledge"
    knowledge.mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (knowledge / name).write_text(text, "utf-8")
    environment = {
        "LLM_BASE_URL": url,
        "LLM_MODEL": "small",
        "LLM_CONTINUE": continues,
        "LLM_TEMPERATURE": "0",
        "LLM_SEED": "7",
        "ANSWER_CACHE_TTL_S": "0",
        "LLM_PROMPT_CHARS": "6000",
        "LLM_PRICE_PROMPT": "0.1",
        "LLM_PRICE_COMPLETION": "0.4",
    }
    with Cluster(
        folder / "data", knowledge=knowledge, workers=2, environment=environment
    ) as cluster:
        yield cluster


def asked(cluster: Cluster, message: str) -> dict[str, Any]:
    """Ask in a session of its own until the model answers in time; return the last turn."""
    for number in range(1, TRIES + 1):
        begun_s = time.monotonic()
        reader = reader_of(cluster, message)
        reading = reader.read()
        turn = turn_of(cluster, reading)
        told = {
            "question": message,
            "tries": number,
            "seconds": round(time.monotonic() - begun_s, 2),
            "whole": reading.complete and reading.text == turn["answer"],
            **{name: turn[name] for name in ("answer", "degraded", "usage", "state")},
        }
        progress(json.dumps(told, ensure_ascii=False))
        if turn["degraded"] is None:
            break
        time.sleep(5)
    return told


def reader_of(
    cluster: Cluster, message: str, *, on_frame: Callable[[Arrival], None] | None = None
) -> TurnReader:
    """Return a client of a new turn."""
    name = uuid.uuid4().hex[:12]
    return TurnReader(
        cluster.url,
        session_id=f"s-{name}",
        turn_id=f"t-{name}",
        message=message,
        on_frame=on_frame,
    )


def turn_of(cluster: Cluster, reading: Reading) -> Mapping[str, Any]:
    """Return the turn as any pod shows it."""
    path = f"/v1/sessions/{reading.session_id}/turns/{reading.turn_id}"
    found: Mapping[str, Any] = requests.get(f"{cluster.url}{path}", timeout=30).json()
    return found


def killed(cluster: Cluster) -> dict[str, Any]:
    """Kill the pod that answers behind the second text; return what the client saw."""
    struck: dict[str, Any] = {}

    def strike(arrival: Arrival) -> None:
        texts = reader.reading.frames("text")
        if struck or arrival.frame["type"] != "text" or len(texts) < 2:
            return
        owner = str(turn_of(cluster, reader.reading).get("owner") or "").partition(".")[0]
        if owner:
            struck.update(pod=owner, shown=reader.reading.text)
            cluster.kill(owner)

    reader = reader_of(cluster, LONG, on_frame=strike)
    reading = reader.read(timeout_s=180)
    turn = turn_of(cluster, reading)
    shown = str(struck.get("shown", ""))
    return {
        "killed": struck.get("pod", ""),
        "shown_before": shown,
        "answer": turn["answer"],
        "attempts": turn["attempts"],
        "degraded": turn["degraded"],
        "restarts": reading.restarts,
        "goes_on": bool(shown) and str(turn["answer"]).startswith(shown),
        "whole": reading.complete and reading.text == turn["answer"],
        "problems": reading.problems,
    }


def measured(python: Path, gguf: Path) -> dict[str, Any]:
    """Return all figures."""
    found: dict[str, Any] = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "python": platform.python_version(),
        "model": gguf.name,
        "answers": [],
        "kills": {},
    }
    with small_model(python, gguf) as url:
        for continues in ("prefill", "none"):
            with (
                tempfile.TemporaryDirectory() as folder,
                answering_cluster(Path(folder), url, continues=continues) as cluster,
            ):
                if continues == "prefill":
                    found["answers"] = [asked(cluster, question) for question in QUESTIONS]
                asked(cluster, LONG)  # fills the model's cache
                found["kills"][continues] = killed(cluster)
                progress(json.dumps(found["kills"][continues], ensure_ascii=False))
    return found


def right(found: Mapping[str, Any]) -> bool:
    """Tell whether the model answered, and every answer came whole, also behind a dead pod."""
    kills: Sequence[Mapping[str, Any]] = list(found["kills"].values())
    return (
        any(one["degraded"] is None for one in found["answers"])
        and all(one["whole"] for one in found["answers"])
        and all(one["killed"] and one["whole"] and one["attempts"] == 2 for one in kills)
    )


def report(found: Mapping[str, Any]) -> str:
    """Return the Markdown."""
    lines = [
        "# A real small language model",
        "",
        f"`{found['model']}` by llama.cpp on the processors; commit {found['commit']},"
        f" {found['machine']}. Greedy (`LLM_TEMPERATURE=0`), 6,000 characters of prompt.",
        "What a model of this size says, or cites, is not judged; whether it is whole is.",
        "",
        "| question | answer | seconds | tokens in / out | cost | degraded | tries |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["answers"]:
        usage = one["usage"]
        tokens = f"{usage.get('prompt_tokens', 0)} / {usage.get('completion_tokens', 0)}"
        answer = " ".join(one["answer"].split())[:300].replace("|", "/")
        lines.append(
            f"| {one['question']} | {answer} | {one['seconds']} | {tokens} |"
            f" {usage.get('cost', 0)} | {one['degraded'] or '-'} | {one['tries']} |"
        )
    for continues, one in found["kills"].items():
        lines += [
            "",
            f"## The pod killed in the middle of an answer, `LLM_CONTINUE={continues}`",
            "",
            f"- killed: {one['killed']}; attempts {one['attempts']}; `restart` frames"
            f" {one['restarts']}; whole at the client: {one['whole']}; degraded:"
            f" {one['degraded'] or 'no'}",
            f"- the answer begins with what was shown before the kill: {one['goes_on']}",
            f"- shown before: {one['shown_before']!r}",
            f"- answer: {one['answer']!r}",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and keep; fail where an answer was not whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="an environment with xllamacpp")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked_for = parser.parse_args()
    found = measured(asked_for.python, asked_for.gguf)
    keep(asked_for.out, found, report(found))
    if not right(found):
        raise SystemExit("an answer was not what it should be; see the report")


if __name__ == "__main__":
    main()
