"""Which keys a command touches, and whether a Cluster spreads them over its shards.

``session``: the keys of one session share a slot, and sessions are many. ``spread``: keys whose
slots are many for another reason: heartbeats, shards of an index, digests. ``tenant``: keys that
the turns of a tenant share, in one slot. ``one``: keys that all pods share, in one slot: no number
of shards makes them cheaper.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

Kind = Literal["session", "spread", "tenant", "one"]

# The first that fits: name, kind, pattern of the key or channel. See ``adapters.redis.keys``.
FAMILIES: Final[Sequence[tuple[str, Kind, str]]] = (
    ("bus", "one", r"kn:\{bus\}:"),
    ("bus, read", "one", r"(?!)"),
    ("heartbeats", "spread", r"kn:pod:"),
    ("table of pods", "one", r"kn:pods$"),
    ("running turns", "spread", r"kn:running:"),
    ("idle sessions", "spread", r"kn:idle:"),
    ("delayed jobs", "spread", r"kn:\{later:"),
    ("hot answers", "spread", r"kn:answer:"),
    ("breakers", "spread", r"kn:(breaker|good):"),
    ("plugins", "one", r"kn:\{plugins:"),
    ("counts of a tenant", "tenant", r"kn:\{(counts|drafts):"),
    ("limits of a tenant", "tenant", r"kn:\{use:"),
    ("kept by plugins", "spread", r"kn:\{kept:"),
    ("confirmations", "spread", r"kn:touch:"),
    ("schema", "one", r"kn:schema$"),
    ("handoffs", "one", r"kn:handoffs$"),
    ("knowledge pointer", "one", r"kn:kb:"),
    ("keys, logins and seals", "one", r"kn:\{(api-keys|logins|sealing|audit)"),
    ("orders", "one", r"kn:(\{jobs\}|leader:|audit-tenants)"),
    ("lists of sessions", "tenant", r"kn:[^:{]+:(all-sessions|sessions:)"),
    ("traces", "spread", r"kn:[^:{]+:trace:"),
    ("sessions", "session", r"kn:[^:{]+:\{"),
)
KINDS: Final = {name: kind for name, kind, _ in FAMILIES}
_PATTERNS: Final = [(name, re.compile(pattern)) for name, _, pattern in FAMILIES]
_READS: Final = frozenset({"XREAD", "XRANGE", "XREVRANGE"})
_WITHOUT_KEY: Final = frozenset({"TIME", "PING", "HELLO", "CLIENT", "INFO", "SCRIPT", "SELECT"})


def family_of(arguments: Sequence[str]) -> str:
    """Return the family of a command's first key, "" for one that has none; raises ``KeyError``."""
    key = _first_key(arguments)
    if key is None:
        return ""
    for name, pattern in _PATTERNS:
        if pattern.match(key):
            reads = name == "bus" and arguments[0].upper() in _READS
            return "bus, read" if reads else name
    raise KeyError(f"no family has the key {key!r}: add it to load/scale/families.py")


def _first_key(arguments: Sequence[str]) -> str | None:
    name = arguments[0].upper()
    if name in _WITHOUT_KEY:
        return None
    if name in ("EVALSHA", "EVAL"):
        return arguments[3]
    if name in ("XREAD", "XREADGROUP"):
        streams = next(at for at, it in enumerate(arguments) if it.upper() == "STREAMS")
        return arguments[streams + 1]
    return arguments[2] if name in ("XINFO", "XGROUP") else arguments[1]
