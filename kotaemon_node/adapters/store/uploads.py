"""Keeps uploaded bytes where the coordinator finds them: in the store, or sent to who serves it."""

import errno
import http
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import requests

from kotaemon_node.adapters.store.factory import StorePlace, make_artifact_store
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.store.origin import CONNECT_TIMEOUT_S
from kotaemon_node.domain.tls_advice import tls_advice
from kotaemon_node.ports.artifacts import ArtifactStore, ArtifactsUnavailable
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.uploads import UploadRoom

_ANSWER_S: Final = 60.0  # the coordinator flushes a hundred megabytes before it answers
_TRIES: Final = 3
_PAUSE_S: Final = 0.5


class StoreUploads:
    """``ports.uploads.UploadRoom`` in a store that this process may write."""

    def __init__(self, store: ArtifactStore, *, native: Callable[..., Any]) -> None:
        """``native`` runs the writing: on a disk away from the serving loop, else where we are."""
        self._store = store
        self._native = native

    def put(self, name: str, source: Path) -> None:
        self._writing(self._store.put_file_if_absent, name, source)

    def discard(self, name: str) -> None:
        self._writing(self._store.delete, name)

    def _writing(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._native(work, *arguments)
        except OSError as error:
            if error.errno == errno.EROFS:
                raise ArtifactsUnavailable("this pod may not write to the artifact store") from None
            raise ArtifactsUnavailable(f"an upload cannot be kept: {error}") from error


class HttpUploads:
    """``ports.uploads.UploadRoom`` of a coordinator that serves its folder over HTTP."""

    def __init__(self, url: str, *, token: str, clock: Clock, ca_file: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._ca_file = ca_file
        self._clock = clock

    def put(self, name: str, source: Path) -> None:
        self._asked("PUT", name, source)

    def discard(self, name: str) -> None:
        self._asked("DELETE", name, None)

    def _asked(self, method: str, name: str, source: Path | None) -> None:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                self._clock.sleep(_PAUSE_S * 2**attempt)
            try:
                status = self._once(method, name, source)
            except (requests.RequestException, OSError) as error:
                problem = f"does not answer: {tls_advice(error) or type(error).__name__}"
                continue
            if status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
                raise ArtifactsUnavailable(f"{self._url} refuses us ({status}): see ARTIFACT_TOKEN")
            if status < http.HTTPStatus.BAD_REQUEST:
                return
            problem = f"answers {status}"
        raise ArtifactsUnavailable(f"an upload cannot be kept: {self._url} {problem}")

    def _once(self, method: str, name: str, source: Path | None) -> int:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the environment leads out of the cluster
            if self._ca_file is not None:
                session.verify = str(self._ca_file)
            if self._token:
                session.headers["Authorization"] = f"Bearer {self._token}"
            how: dict[str, Any] = {
                "timeout": (CONNECT_TIMEOUT_S, _ANSWER_S),
                "allow_redirects": False,
            }
            url = f"{self._url}/{quote(name)}"
            if source is None:
                return session.request(method, url, **how).status_code
            with source.open("rb") as file:
                return session.request(method, url, data=file, **how).status_code


def make_upload_room(place: StorePlace, *, clock: Clock, native: Callable[..., Any]) -> UploadRoom:
    """Return where uploads go beside the artifact store at ``place``.

    Raises as ``make_artifact_store``. Nothing is asked of a server yet.
    """
    if place.url.startswith(("http://", "https://")):
        return HttpUploads(place.url, token=place.token, clock=clock, ca_file=place.ca_file)
    store = make_artifact_store(place, clock=clock, native=native, writes=True)
    if isinstance(store, FileArtifactStore):
        return StoreUploads(store, native=native)
    return StoreUploads(store, native=lambda work, *arguments: work(*arguments))
