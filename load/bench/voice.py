"""Measures conversations by voice without a server: what is understood, how soon there is sound.

    python -m load.bench.voice --out load/results/voice [--any-english]

espeak-ng speaks sentences, pocketsphinx hears them, and a pod of one process answers them over
``/ws/voice`` by a scripted turn, so that the figures are those of speech alone. A synthetic voice
is hard for a recogniser that was made for people: the word error rate is no promise for them.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kotaemon_node.api.app import create_app
from kotaemon_node.api.voice.offer import VoiceOffer
from load import surroundings
from load.kept import keep, progress
from tests.fakes.services import FakeCluster
from tests.socket_server import SocketServer
from tests.speech import PHRASES, PIECE_BYTES, offline, spoken, talking_to, word_errors, words_of

# Of the phrases that are expected, and sentences that nobody had in mind when those were written.
EXPECTED = (
    "how long does shipping take",
    "what does express delivery cost",
    "can I return an item after thirty days",
    "how do I pay by credit card",
    "how long is the warranty",
    "can I cancel my order",
    "who pays for the return shipping",
    "when will I get my money back",
    "how can I delete my account",
    "what happens if my package is lost",
)
OTHERS = (
    "how long is the warranty for my order",
    "what does delivery to Malaysia cost",
    "can I return a lamp after thirty days",
    "when will my money arrive",
    "how do I change my password",
    "is express delivery free",
    "which card do you accept",
    "where can I collect my parcel",
    "do you deliver lamps to other countries",
    "please cancel my order",
)
VOICES = ("en-us+klatt4", "en-us")


def errors(offer: VoiceOffer, sentences: Sequence[str], voice: str) -> float:
    """Return the word error rate."""
    wrong = words = 0
    for sentence in sentences:
        sound = spoken(sentence, voice=voice)
        with offer.hears().listen("en") as hearing:
            for start in range(0, len(sound), PIECE_BYTES):
                hearing.feed(sound[start : start + PIECE_BYTES])
            wrong += word_errors(sentence, hearing.finish().text)
        words += len(words_of(sentence))
    return wrong / words


def latencies(offer: VoiceOffer, sentences: Sequence[str]) -> Mapping[str, Sequence[float]]:
    """Return seconds from the end of speech, of each figure that a client is told."""
    found: dict[str, list[float]] = {}
    services = replace(FakeCluster().services(), voice=offer)
    with SocketServer(create_app(services)) as server, talking_to(server.url) as client:
        for number, sentence in enumerate(sentences):
            client.say("start", session_id="s", turn_id=f"t{number}", vad=False)
            client.sound(spoken(sentence))
            client.say("end")
            heard = client.hear("transcript", "spoken", "latency")
            for name, value in heard.one("latency").items():
                if name.endswith("_s"):
                    found.setdefault(name, []).append(value)
    return found


def report(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "# Voice without a server",
        "",
        f"Commit {results['commit']}, {results['machine']}. espeak-ng speaks, pocketsphinx hears;"
        " ten sentences of each kind. A synthetic voice: people are understood better or worse.",
        "",
        "| voice | expected phrases | other sentences of their words | any English: expected |",
        "|---|---|---|---|",
    ]
    for voice, rates in results["word_error_rates"].items():
        names = ("expected", "others", "any")
        cells = " | ".join(f"{rates[name]:.2f}" if name in rates else "–" for name in names)
        lines.append(f"| {voice} | {cells} |")
    lines += ["", "Word error rates. Seconds since the end of speech, sound sent at once:", ""]
    lines += ["| figure | median | slowest of ten |", "|---|---|---|"]
    for name, values in results["latency_s"].items():
        lines.append(f"| {name} | {statistics.median(values):.3f} | {max(values):.3f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--any-english", action="store_true", help="the engine without phrases, too: a minute more"
    )
    asked = parser.parse_args()
    out = asked.out
    rates: dict[str, dict[str, float]] = {voice: {} for voice in VOICES}
    with offline(phrases=PHRASES) as offer:
        for voice in VOICES:
            progress(voice)
            rates[voice]["expected"] = errors(offer, EXPECTED, voice)
            rates[voice]["others"] = errors(offer, OTHERS, voice)
        found = latencies(offer, EXPECTED)
    if asked.any_english:
        with offline(phrases=None) as offer:
            for voice in VOICES:
                progress(f"{voice}, any English")
                rates[voice]["any"] = errors(offer, EXPECTED, voice)
    results = {
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "word_error_rates": rates,
        "latency_s": found,
    }
    keep(out, results, report(results))


if __name__ == "__main__":
    main()
