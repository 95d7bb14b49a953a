"""A real Prometheus of a test's own, asked over HTTP."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import requests
import yaml

from tests.prometheus_queries import ROOT
from tests.redis_server import free_port

CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
PATIENCE_S = 60.0


def shipped() -> dict[str, Any]:
    """Return the configuration that Compose uses."""
    config: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    return config


class Prometheus:
    """Runs with ``config`` in ``folder`` while the block lasts."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._session = requests.Session()
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "prometheus.yml"
        file.write_text(json.dumps(self._config))  # JSON is YAML
        log = (self._folder / "prometheus.log").open("w")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            try:
                if requests.get(f"{self.url}/-/ready", timeout=5).ok:
                    return
            except requests.ConnectionError:
                pass
            assert time.monotonic() < deadline_s, "Prometheus does not become ready"
            time.sleep(0.1)

    def targets(self) -> Sequence[Mapping[str, Any]]:
        """Return the targets as they stand."""
        found: Sequence[Mapping[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Return the alerts that are pending or fire."""
        found: Sequence[Mapping[str, Any]] = self._get("alerts")["alerts"]
        return found

    def values(self, expr: str) -> Sequence[float]:
        """Return the value of each series that the query gives now."""
        return [float(row["value"][1]) for row in self._get("query", query=expr)["result"]]

    def _get(self, what: str, **parameters: str) -> Any:
        answer = self._session.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=30)
        told = answer.json()
        assert told["status"] == "success", f"{parameters}: {told}"
        return told["data"]
