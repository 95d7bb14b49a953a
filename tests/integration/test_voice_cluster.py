"""Voice on a whole cluster: through the balancer, with real sound, and after a pod was killed."""

import os
import signal
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.speech import PHRASES, spoken, talking_to, word_errors

QUESTION = "how long does express delivery take"
SPEECH = {
    "SPEECH_TO_TEXT": "offline",
    "TEXT_TO_SPEECH": "offline",
    "SPEECH_PHRASES_FILE": str(PHRASES),
}


@pytest.mark.long
def test_the_speech_of_a_killed_pod_goes_on_at_another(tmp_path: Path) -> None:
    with Cluster(tmp_path / "data", workers=2, environment=SPEECH) as cluster:
        url = cluster.url.replace("http", "ws")
        with talking_to(url) as client:
            client.say("start", session_id="voice-1", turn_id="t1", vad=False)
            client.sound(spoken(QUESTION))
            client.say("end")
            begun = client.hear("audio_end", timeout_s=120)
            owner = client.connection.response.headers["X-Served-By"]
        os.kill(cluster.pid(owner), signal.SIGKILL)
        with talking_to(url) as client:
            heard = begun.of("audio")[0]["end"]
            client.say("resume", session_id="voice-1", turn_id="t1", after=0, spoken=heard)
            rest = client.hear("done", "spoken", timeout_s=120)

    assert word_errors(QUESTION, begun.of("transcript")[-1]["text"]) <= 2
    assert rest.one("done")["state"] == "done"
    assert all(said["end"] > heard for said in rest.of("audio"))
