"""``docker compose up`` without Docker: the services of compose.yaml, in containers of our own.

with Project(tmp_path, {"LLM_BASE_URL": "…"}, leave_out={"grafana"}) as project:
    requests.get(f"{project.url('haproxy', 8080)}/readyz")
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import compose_file
from tests.compose_container import Container
from tests.compose_network import Names, Namespace, Networks, known

_PATIENCE_S = 300.0
_POLL_S = 0.25
# docker's: 100 ms, twice as long each time.
_RESTART_S = 0.1


class Project:
    """The services that no profile holds back, started in the order of their conditions."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], *, leave_out: Collection[str] = ()
    ) -> None:
        """``folder`` takes volumes and logs; ``leave_out``: services that cannot run here."""
        told = compose_file.load(variables)
        self.services: dict[str, Mapping[str, Any]] = {
            name: service
            for name, service in told["services"].items()
            if "profiles" not in service and name not in leave_out
        }
        self.networks = Networks(list(told["networks"]))
        self.healthy: list[str] = []
        """Services in the order in which they came to their condition."""
        self._addresses: dict[str, dict[str, str]] = {}
        self._names = Names(self._look_up)
        self._containers: dict[str, Container] = {}
        self._closing = threading.Event()
        self._stopped: set[str] = set()
        self._restarts = threading.Thread(target=self._restart, name="restarts", daemon=True)
        for name, service in self.services.items():
            namespace, self._addresses[name] = self._joined(name, service)
            self._containers[name] = Container(
                name, service, folder=folder, namespace=namespace, gateway=self._gateway(name)
            )

    def __enter__(self) -> Self:
        try:
            self._up()
        except BaseException:
            self.down()
            raise
        self._restarts.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.logs())
        self.down()

    def __getitem__(self, name: str) -> Container:
        return self._containers[name]

    def url(self, name: str, port: int) -> str:
        """Return where a port of a service is reached from here, as if it were published."""
        address = next(iter(self._addresses[name].values()))
        return f"http://127.0.0.1:{self.networks.publish(address, port)}"

    def address(self, name: str, network: str) -> str:
        """Return the address of a service in a network."""
        return self._addresses[name][network]

    def wait_healthy(self, name: str) -> None:
        """Return when the service's own health check is content."""
        self.wait_until(lambda: self._met(name), what=f"{name} is healthy")

    def wait_until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Return when ``condition()`` holds; fail the test otherwise."""
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"not yet: {what}\n{self.logs()}"
            time.sleep(_POLL_S)

    def stop(self, name: str) -> int:
        """Stop a service, as ``docker compose stop`` does, and return its exit status."""
        self._stopped.add(name)
        return self._containers[name].stop()

    def change(self, name: str, service: Mapping[str, Any]) -> None:
        """Start a stopped service by another description, as ``up`` does after a change."""
        self.services[name] = self._containers[name].service = service
        self._containers[name].start()
        self._stopped.discard(name)

    def down(self) -> None:
        """End everything at once."""
        self._closing.set()
        if self._restarts.is_alive():
            self._restarts.join()
        for container in self._containers.values():
            container.kill()
            container.namespace.remove()
        self._names.remove()
        self.networks.remove()

    def logs(self) -> str:
        """Return the last lines of every service."""
        return "\n".join(
            "\n  ".join(
                [f"--- {name}", *container.log.read_text(errors="replace").splitlines()[-8:]]
            )
            for name, container in self._containers.items()
            if container.log.exists()
        )

    def _joined(self, name: str, service: Mapping[str, Any]) -> tuple[Namespace, dict[str, str]]:
        if service.get("network_mode") == "none":
            return Namespace(), {}
        namespace, addresses = self.networks.join(list(compose_file.networks(service)))
        self._names.serve(name, namespace)
        return namespace, addresses

    def _gateway(self, name: str) -> str:
        network = next(iter(self._addresses[name]), "")
        return self.networks.gateway(network) if network else ""

    def _look_up(self, asker: str, name: str) -> list[str]:
        answering = [
            service
            for service, told in self.services.items()
            if service in self._containers
            and self._containers[service].running
            and (
                name == service
                or any(name in aliases for aliases in compose_file.networks(told).values())
            )
        ]
        return known(self._addresses, asker, answering)

    def _up(self) -> None:
        """Start each service when the conditions of its ``depends_on`` are met."""
        deadline = time.monotonic() + _PATIENCE_S
        waiting, started = set(self.services), set[str]()
        while waiting or started:
            for name in sorted(waiting):
                if all(other in self.healthy for other in self._conditions(name)):
                    self._containers[name].start()
                    waiting.discard(name)
                    started.add(name)
            for name in sorted(started):
                if self._met(name):
                    self.healthy.append(name)
                    started.discard(name)
            assert time.monotonic() < deadline, f"not up: {waiting | started}\n{self.logs()}"
            time.sleep(_POLL_S)

    def _conditions(self, name: str) -> list[str]:
        wanted: Mapping[str, Any] = self.services[name].get("depends_on", {})
        return [other for other in wanted if other in self.services]

    def _met(self, name: str) -> bool:
        container = self._containers[name]
        if "healthcheck" in self.services[name]:
            return container.running and container.check()
        assert container.ended in (None, 0), f"{name} failed\n{self.logs()}"
        return container.ended == 0

    def _restart(self) -> None:
        """Start anew what ended by itself, as ``restart: unless-stopped`` says."""
        while not self._closing.wait(_RESTART_S):
            for name, container in self._containers.items():
                wanted = self.services[name].get("restart") == "unless-stopped"
                if wanted and container.ended is not None and name not in self._stopped:
                    container.start()
