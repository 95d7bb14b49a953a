"""A tenant's audit log in a real Redis and a folder, as one finds it who would change it."""

from collections.abc import Mapping
from pathlib import Path

from coordinator.audit_moving import AuditMoving
from kotaemon_node.adapters.signing import Ed25519Signer, TrustedKeys
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.audit_log.findings import Verification
from kotaemon_node.audit_log.heads import SeenByChain
from kotaemon_node.audit_log.verifying import AuditVerifier
from kotaemon_node.ports.audit import AuditLog, NoAuditLog
from tests.audit_logs import KEY, TENANT, NoMovingCounts, entries_of, store_of

Rows = list[tuple[str, bytes]]
LINES, HEAD = f"kn:{{audit:{TENANT}}}:lines", f"kn:{{audit:{TENANT}}}:head"
SIGNER = Ed25519Signer.of_seed(b"s" * 32)


class Logs:
    """A log of one tenant in both stores, as one finds it who would change it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.store = store_of(url)
        self.artifacts = FileArtifactStore(folder)
        self.client = self.store._store.client

    def mover(
        self, *, kept_s: float = 0, moved_after_s: float = 0, log: AuditLog | None = None
    ) -> AuditMoving:
        return AuditMoving(
            self.store,
            self.artifacts,
            signer=SIGNER,
            verifier=TrustedKeys([SIGNER.public_key]),
            log=log or NoAuditLog(),
            leads=lambda: True,
            clock=SystemClock(),
            counts=NoMovingCounts(),
            kept_s=kept_s,
            moved_after_s=moved_after_s,
        )

    def verify(
        self,
        *,
        keys: tuple = (KEY,),
        since: str = "",
        heads: Mapping[str, SeenByChain] | None = None,
    ) -> Verification:
        verifier = AuditVerifier(
            self.store,
            self.artifacts,
            keys=keys,
            verifier=TrustedKeys([SIGNER.public_key]),
            heads=heads,
        )
        return verifier.verify(TENANT, since=since)

    def lines(self) -> Rows:
        return [(place.decode(), row[b"e"]) for place, row in self.client.xrange(LINES)]

    def put(self, rows: Rows) -> None:
        """Replace all lines of the store."""
        self.client.delete(LINES)
        for place, line in rows:
            self.client.xadd(LINES, {"e": line}, id=place)

    def head_right(self) -> None:
        """Make the head that of the newest line, as one would who cuts off the end."""
        last = entries_of(self.url)[-1]
        self.client.hset(HEAD, mapping={"chain": last.chain, "seq": last.seq, "hash": last.hash})

    def files(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"audit/{TENANT}/*/{kind}/*"))


def told(found: Verification) -> list[tuple[str, int]]:
    return sorted({(one.kind, one.seq) for one in found.findings})
