"""Tells that a program runs with other settings than before, and which ones they are.

Names of settings alone are told, never values: who changed them, and to what, is known where they
are kept. What is compared are digests, of which no secret is a part.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kotaemon_node.domain.audit import AuditEvent, Detail
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.ports.audit import AuditStore

VERSION_CHARS: Final = 12
_SECRET: Final = re.compile(r"(password|secret|_token|headers|_key)$")
"""Ends of names whose values are secrets; of a file that holds one the name is told."""
_WHO: Final = re.compile(r"(?<=://).*@", re.DOTALL)
"""Users and passwords of URLs, whatever marks a password holds."""
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
"""Behind it a URL may name another password, as ``sentinel_password=``."""
_OWN: Final = frozenset(
    {"pod_name", "pod_address", "pod_pid_file", "leave_port", "otel_service_name"}
)
"""What each process has for itself."""
_OWN_IF_ANY: Final = frozenset({"grpc_port"})
"""What each has for itself, where all or none have it: told is which of the two."""


def digests_of(settings: Any) -> Mapping[str, str]:
    """Return a digest of each setting that is no secret, by its name in the environment."""
    said: Mapping[str, Any] = settings.model_dump(mode="json")
    return {
        name.upper(): _digest(json.dumps(_compared(name, value), sort_keys=True))
        for name, value in said.items()
        if name not in _OWN and not _SECRET.search(name)
    }


def _compared(name: str, value: Any) -> Any:
    """Return what is compared of a setting's value."""
    return value is not None if name in _OWN_IF_ANY else _without_secrets(value)


def _without_secrets(value: Any) -> Any:
    """Return a value without what URLs in it may hold of secrets: rather too little than that."""
    if isinstance(value, str):
        return _QUERY.sub("", _WHO.sub("", value)) if "://" in value else value
    if isinstance(value, list):
        return [_without_secrets(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_secrets(one) for name, one in value.items()}
    return value


class SettingsTold:
    """What one process says at its beginning."""

    def __init__(self, program: str, digests: Mapping[str, str], store: AuditStore) -> None:
        self._program = program
        self._digests = digests
        self._store = store

    def events(self) -> Sequence[AuditEvent]:
        """Return an event where the process before had other settings; ``StoreUnavailable``.

        Of many that begin at once with the same new settings, one has it to tell.
        """
        now = json.dumps(self._digests, sort_keys=True).encode()
        before = self._store.exchange(f"settings/{self._program}", now)
        if before == now:
            return ()
        known = _read(before)
        names = sorted(
            name for name in {*known, *self._digests} if known.get(name) != self._digests.get(name)
        )
        detail: dict[str, Detail] = {"version": _version(self._digests), "changed": len(names)}
        if known:
            detail |= {"before": _version(known), "settings": ", ".join(names)}
        return [
            AuditEvent(
                "settings.changed",
                "done",
                DEFAULT_TENANT,
                role="system",
                target=self._program,
                detail=detail,
            )
        ]


def _read(raw: bytes | None) -> Mapping[str, str]:
    try:
        said = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _version(digests: Mapping[str, str]) -> str:
    return _digest(json.dumps(digests, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_CHARS]
