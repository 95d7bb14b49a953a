"""A site whose balancer speaks TLS, and what it makes of bad HTTP/2."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from kotaemon_node.local import tls
from load.bad_input.http2 import (
    BROKEN,
    GOAWAY,
    PING,
    RST_STREAM,
    SMUGGLED,
    Line,
    Replied,
    asked,
    flood,
    floods,
    frame,
    request,
    strange,
)
from load.bad_input.site import Site
from tests.certificates import Authority
from tests.redis_server import free_port

GROWN_BYTES_MAX: Final = 40_000_000
_READ_SHARE_MAX: Final = 0.25
"""Of streams that are reset at once so many may reach the pod: most never leave the balancer."""
_SOON_S: Final = 1.0


class TlsSite(Site):
    """A site whose balancer speaks TLS, with a certificate that only ``trusted`` trusts."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__(folder, redis_url, tls=True, http_port=free_port())
        authority = Authority(folder / "authority")
        pair = authority.pair()
        tls.link(self._balanced.folder, pair.certificate, pair.key)
        self.trusted = ssl.create_default_context(cafile=str(authority.file))

    def line(self, **options: Any) -> Line:
        """Open a connection that speaks HTTP/2."""
        return Line(self.balancer_port, self.trusted, **options)

    def serves(self) -> bool:
        """Tell whether somebody else is answered over HTTP/2."""
        with self.line() as line:
            line.greet()
            line.send(asked(request()))
            return line.chosen == "h2" and 1 in line.read(until=1).answered

    @property
    def balancer_bytes(self) -> int:
        """What HAProxy's processes have in memory."""
        process = self._balanced._haproxy
        assert process is not None
        workers = psutil.Process(process.pid).children(recursive=True)
        return sum(it.memory_info().rss for it in (psutil.Process(process.pid), *workers))


def broken_fault(site: TlsSite, raw: bytes) -> str:
    """Send frames that break the rules; return what must not be, "" where all is well."""
    before = len(site.read())
    with site.line(patience_s=_SOON_S) as line:
        line.greet()
        line.send(raw + frame(PING, b"still on"))
        replied = line.read()
    if not _refused(replied) and replied.of(PING):
        return "it was taken as if nothing were wrong"
    # A whole request may come before what is broken; none is made of it.
    made = {it["target"] for it in site.read(after=before)} - {request()[3][1]}
    return f"the pod read {made}" if made else _harm(site)


def strange_fault(site: TlsSite, raw: bytes) -> str:
    """Send a request that must be one or none; return what must not be."""
    before = len(site.read())
    with site.line() as line:
        line.greet()
        line.send(raw)
        line.read(until=1)
    harm = _harm(site)
    # The last is that of the other client.
    read = site.read(after=before)[: None if harm else -1]
    if len(read) > 1 or any(SMUGGLED in str(it) for it in read):
        return f"the pod read {read}"
    return "coding and length" if any(it["coding"] and it["length"] for it in read) else harm


def flood_fault(site: TlsSite, kind: str, count: int) -> tuple[str, Mapping[str, Any]]:
    """Send one kind of frames again and again; return what must not be, and what was seen."""
    balancer, pod, before = site.balancer_bytes, site.pod.rss_bytes(), len(site.read())
    with site.line(patience_s=_SOON_S) as line:
        line.greet()
        sent = flood(line, floods(count)[kind])
        harm = _harm(site)  # while it stands
        balancer = site.balancer_bytes - balancer
        line.read()
    pod, read = site.pod.rss_bytes() - pod, len(site.read(after=before))
    seen = {"frames": sent, "read": read, "balancer_bytes": balancer, "pod_bytes": pod}
    if max(balancer, pod) > GROWN_BYTES_MAX:
        harm = harm or "memory grew"
    if read > max(_READ_SHARE_MAX * count, 10):
        harm = harm or f"{read} requests reached the pod"
    return harm or _harm(site), seen


def all_faults(site: TlsSite, *, count: int) -> Mapping[str, Any]:
    """Play everything, and return it for the results."""
    faults = {f"broken: {name}": broken_fault(site, raw) for name, raw in BROKEN.items()}
    faults |= {f"strange: {name}": strange_fault(site, raw) for name, raw in strange().items()}
    seen: dict[str, Mapping[str, Any]] = {}
    for kind in floods(1):
        faults[f"flood: {kind}"], seen[kind] = flood_fault(site, kind, count)
    return {
        "broken": len(BROKEN),
        "strange": len(strange()),
        "floods": seen,
        "faults": [f"{name}: {fault}" for name, fault in faults.items() if fault],
    }


def _refused(replied: Replied) -> bool:
    return bool(replied.of(GOAWAY) or replied.of(RST_STREAM) or replied.ended)


def _harm(site: TlsSite) -> str:
    return "" if site.serves() else "somebody else was not answered"
