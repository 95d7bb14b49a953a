"""The jars of the Kafka broker: resolved by Maven once, kept for every cluster of this machine.

``python -m kotaemon_node.local.broker_jars`` fetches them ahead of time, as ``make install`` does.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from kotaemon_node.local import places
from kotaemon_node.local.errors import LocalError

VERSION: Final = "4.1.0"
_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_FETCH_S: Final = 900.0
# The broker brings the interface of its logger only; the simple one writes to stderr.
_PROJECT: Final = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kotaemon</groupId><artifactId>broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def folder() -> Path:
    """Return where the jars of this version lie, or will."""
    return places.kafka_folder() / VERSION


def there() -> bool:
    """Tell whether they were fetched. They appear all at once."""
    return folder().is_dir()


def fetch() -> None:
    """Fetch them. ``LocalError`` says why that failed; nothing is left of it then."""
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalError(
            "The Kafka broker is fetched with Maven, which is not installed; on Debian and Ubuntu"
            " run `sudo apt-get install maven`."
        )
    parent = folder().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=parent) as draft:
            _resolve(maven, Path(draft))
            _put(Path(draft) / "jars")
    except OSError as error:
        raise LocalError(f"The Kafka broker cannot be kept in {parent}: {error}.") from error


def _resolve(maven: str, draft: Path) -> None:
    (draft / "pom.xml").write_text(_PROJECT, encoding="utf-8")
    command = [
        # Jars whose checksum is not that of the repository fail.
        *(maven, "--quiet", "--batch-mode", "--strict-checksums", "-Dstyle.color=never"),
        *(_GOAL, f"-DoutputDirectory={draft}/jars", "-DincludeScope=runtime"),
    ]
    try:
        done = subprocess.run(
            command, cwd=draft, capture_output=True, text=True, timeout=_FETCH_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LocalError(
            f"The Kafka broker was not fetched within {_FETCH_S:.0f} s; try again."
        ) from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
        reason = lines[0].removeprefix("[ERROR] ") if lines else f"status {done.returncode}"
        raise LocalError(f"The Kafka broker could not be fetched by Maven: {reason}")


def _put(jars: Path) -> None:
    try:
        jars.rename(folder())
    except OSError:
        if not there():  # else somebody else was quicker, with the same
            raise


def main() -> int:
    """Fetch what is missing; return the exit status."""
    try:
        if not there():
            fetch()
    except LocalError as error:
        sys.stderr.write(f"kotaemon: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
