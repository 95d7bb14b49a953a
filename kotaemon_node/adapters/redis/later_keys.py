"""The keys of delayed jobs; ``keys`` has them in its table."""

import zlib
from dataclasses import dataclass

from kotaemon_node.domain import acting_limits as limits


@dataclass(frozen=True, slots=True)
class LaterKeys:
    """The keys of one job, all in the slot of its shard."""

    shard: int
    tenant: str
    name: str

    @classmethod
    def of(cls, tenant: str, name: str) -> "LaterKeys":
        """Return those of the job of this name."""
        return cls(zlib.crc32(f"{tenant}/{name}".encode()) % limits.LATER_SHARDS, tenant, name)

    @staticmethod
    def prefix_of(shard: int) -> str:
        """Return what all keys of a shard begin with."""
        return f"kn:{{later:{shard}}}:"

    @classmethod
    def due_of(cls, shard: int, kind: str) -> str:
        """Sorted set."""
        return f"{cls.prefix_of(shard)}due:{kind}"

    @classmethod
    def dead_of(cls, shard: int, kind: str) -> str:
        """Sorted set."""
        return f"{cls.prefix_of(shard)}dead:{kind}"

    @classmethod
    def waiting_of(cls, shard: int, tenant: str) -> str:
        """Sorted set."""
        return f"{cls.prefix_of(shard)}of:{tenant}"

    @classmethod
    def dead_letters_of(cls, shard: int, tenant: str) -> str:
        """Sorted set."""
        return f"{cls.prefix_of(shard)}letters:{tenant}"

    @property
    def member(self) -> str:
        """How sets of all tenants name the job."""
        return f"{self.tenant}/{self.name}"

    @property
    def prefix(self) -> str:
        """What all of them begin with."""
        return self.prefix_of(self.shard)

    @property
    def record(self) -> str:
        """Hash."""
        return f"{self.prefix}job:{self.member}"

    @property
    def waiting(self) -> str:
        """Sorted set."""
        return self.waiting_of(self.shard, self.tenant)

    def due(self, kind: str) -> str:
        """Sorted set."""
        return self.due_of(self.shard, kind)

    def all(self, kind: str) -> list[str]:
        """Return all of them, in the order of the scripts."""
        return [
            self.record,
            self.due(kind),
            self.waiting,
            self.dead_letters_of(self.shard, self.tenant),
            self.dead_of(self.shard, kind),
        ]
