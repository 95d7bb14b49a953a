"""The Kafka broker of a cluster on one machine: its configuration and its formatted folder."""

import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Final

from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder, write_whole

JARS_VARIABLE: Final = "KOTAEMON_KAFKA_JARS"
# Run in the data folder. It takes about 200 MB of memory when idle. The first compiler alone: the
# second costs more to start than a small broker ever gets back. Warnings go to stderr: the log.
COMMAND: Final = (
    "java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    " -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    " -Dorg.slf4j.simpleLogger.showDateTime=true"
    f' -cp "%(ENV_{JARS_VARIABLE})s/*" kafka.Kafka kafka.properties'
)
_JAVA_MIN: Final = 17
_TOOL_S: Final = 60.0
_ADVICE: Final = "on Debian and Ubuntu run `sudo apt-get install default-jre-headless`"


def broker_config(*, port: int, controller_port: int, folder: str = "kafka") -> str:
    """Return ``kafka.properties``: one node that is broker and controller, for this machine."""
    return "\n".join(
        (
            "# Remade at each start. Paths are relative to the data folder.",
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller_port}",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            f"log.dirs={folder}",
            "default.replication.factor=1",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "auto.create.topics.enable=false",
            # A killed broker may register again when its last session has expired: 9 s by default.
            "broker.heartbeat.interval.ms=500",
            "broker.session.timeout.ms=4000",
            # One machine's worth of threads and buffers; the defaults are for a server.
            "num.network.threads=1",
            "num.io.threads=2",
            "log.cleaner.dedupe.buffer.size=4194304",
            "log.segment.bytes=67108864",
            "",
        )
    )


def check_java() -> None:
    """Make sure that there is a Java which can run the broker."""
    java = shutil.which("java")
    if java is None:
        raise LocalError(f"`--bus kafka` needs Java {_JAVA_MIN} or newer; {_ADVICE}.")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', told.stderr + told.stdout)
    if found is None:
        raise LocalError(f"{java} does not run; install Java {_JAVA_MIN} or newer: {_ADVICE}.")
    if int(found[1]) < _JAVA_MIN:
        raise LocalError(
            f"{java} is Java {found[1]}; the Kafka broker needs {_JAVA_MIN} or newer: {_ADVICE}."
        )


def prepare(folder: DataFolder, jars: Path, *, port: int, controller_port: int) -> None:
    """Write the configuration and, once for a data folder, format the place of the log."""
    folder.kafka.mkdir(exist_ok=True)
    write_whole(folder.kafka_config, broker_config(port=port, controller_port=controller_port))
    if (folder.kafka / "meta.properties").exists():
        return
    # 22 characters of base64 are the 16 bytes that a Kafka cluster is named by; the first letter is
    # ours, so that it is never taken for an option.
    name = "k" + secrets.token_urlsafe(16)[1:]
    done = subprocess.run(
        [
            *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"),
            *("kafka.tools.StorageTool", "format", "--ignore-formatted"),
            *("--cluster-id", name, "--config", folder.kafka_config.name),
        ],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=_TOOL_S,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise LocalError(f"The Kafka broker's folder {folder.kafka} was not formatted: {lines[-1]}")
