"""Who may do what in Redis: the users of each part of the product, with no more than it needs.

Law 1: a user may use the commands of its row and no others: no FLUSHALL, CONFIG, KEYS, DEBUG, EVAL.
Law 2: a user reaches the keys of its families and no others. Patterns of Redis only allow; so what
       must not be written has no family that covers it by chance, and a test looks.
Law 3: who may load a script may run any: it is bounded by the same commands and keys, because Redis
       7 checks each command of a script. So scripts are loaded and run by their digest, and EVAL,
       which nobody uses, is forbidden.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from redis.exceptions import ResponseError

REFUSED: Final = ResponseError
"""What is raised where a user lacks a right, or a key holds what it should not."""

Role = Literal["worker", "coordinator", "turn-log", "backup", "exporter"]
Access = Literal["", "r", "rw"]

ROLES: Final[tuple[Role, ...]] = ("worker", "coordinator", "turn-log", "backup", "exporter")


@dataclass(frozen=True, slots=True)
class Family:
    """Keys that are read and written by the same parts."""

    patterns: tuple[str, ...]
    worker: Access = "rw"
    coordinator: Access = "rw"
    turn_log: Access = ""
    backup: Access = "rw"

    def access(self, role: Role) -> Access:
        """Return what a part may do with them."""
        rights: Mapping[str, Access] = {
            "worker": self.worker,
            "coordinator": self.coordinator,
            "turn-log": self.turn_log,
            "backup": self.backup,
        }
        return rights.get(role, "")


# Spelled out: `kn:*:{*}:*` would also be leases and hot answers.
_SESSION: Final = tuple(
    f"kn:*:{{*}}:{part}"
    for part in (
        *("meta", "turns", "queue", "seen", "past", "feedback", "archived"),
        *("record:*", "turn:*", "f??????????"),
    )
)

FAMILIES: Final = (
    Family(_SESSION),
    Family(("kn:*:sessions:*", "kn:*:all-sessions", "kn:idle:*", "kn:running:*", "kn:handoffs")),
    Family(("kn:pod:*", "kn:pods"), coordinator="r", backup=""),
    # What the pods serve: only who builds it says which generation that is, and tells of it.
    Family(("kn:kb:*",), worker="r"),
    # Who looks for what a data key has sealed (`kotaemon encryption status --uses`) reads whatever
    # may hold any of it, as the user of backups.
    Family(("kn:{bus}:knowledge_updated",), worker="r", backup="r"),
    Family(("kn:{bus}:session_updated",), backup="r"),
    # Who rotates or destroys data keys, as the user of backups, tells the pods where Redis is the
    # bus; where it is another they learn by themselves (DATA_KEYS_KNOWN_S).
    Family(("kn:{bus}:config_updated",)),
    Family(("kn:{bus}:turn_log",), coordinator="", turn_log="rw", backup="r"),
    Family(("kn:{jobs}:*",)),
    Family(("kn:{later:*}:*",)),
    # Who restores leads meanwhile, as the user of backups, so that no coordinator publishes.
    Family(("kn:leader:*",), worker=""),
    # Who makes keys is an admin: `kotaemon keys`, as the user of backups. Pods read them.
    Family(("kn:{api-keys}:keys", "kn:{api-keys}:stamp"), worker="r", coordinator="r"),
    Family(("kn:{api-keys}:session-secret",), coordinator="r"),
    # Pods end logins, by themselves and for administrators.
    Family(("kn:{logins:*}:*",), coordinator="", backup=""),
    Family(("kn:{audit:*}:*", "kn:audit-tenants")),
    Family(("kn:{sealing}:tenants",)),
    # Wrapped: who reads them opens nothing without the master key, which `--texts open` needs.
    Family(("kn:{sealing:*}:keys",), turn_log="r"),
    Family(("kn:answer:{*}:*",), coordinator="", backup="r"),
    Family(("kn:*:trace:*",)),
    Family(("kn:{counts:*}:*",)),
    Family(("kn:{drafts:*}:*",)),
    Family(("kn:breaker:{*}",), backup=""),
    Family(("kn:good:{*}",), backup="r"),
    Family(("kn:{plugins:*}:desired",)),
    Family(("kn:{kept:*}:*", "kn:{kept:*}#keys")),
    Family(("kn:{use:*}:*",), backup=""),
    Family(("kn:schema",), backup="r"),
    Family(("kn:touch:{*}",)),
)

_CONNECTION: Final = (
    *("auth", "hello", "ping", "quit", "reset", "select", "time", "asking"),
    *("client|id", "client|setname", "cluster|slots", "info", "wait"),
)
_SINCE_7_2: Final = ("client|setinfo", "waitaof")
_READS: Final = (
    *("exists", "get", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget", "hvals"),
    *("lindex", "llen", "lrange", "pttl", "scard", "sismember", "smembers", "ttl", "type"),
    *("xinfo|stream", "xlen", "xrange", "xread", "xrevrange"),
    *("zcard", "zcount", "zrandmember", "zrange", "zrangebyscore", "zrevrange"),
    *("zrevrangebyscore", "zscore"),
)
_WRITES: Final = (
    *("bitfield", "del", "expire", "hdel", "hincrby", "hset", "hsetnx", "incr", "incrby"),
    *("lpop", "lpush", "lrem", "pexpire", "rename", "rpush", "sadd", "set", "srem", "xadd"),
    *("xdel", "xtrim", "zadd", "zincrby", "zpopmin", "zrem", "zremrangebyrank"),
    "zremrangebyscore",
)
_GROUPS: Final = ("xack", "xautoclaim", "xgroup|create", "xinfo|groups", "xreadgroup")
_SCRIPTS: Final = ("evalsha", "script|load")
_SIGNALS: Final = (
    *("publish", "subscribe", "unsubscribe", "spublish", "ssubscribe", "sunsubscribe"),
)

COMMANDS: Final[Mapping[Role, tuple[str, ...]]] = {
    "worker": (*_CONNECTION, *_READS, *_WRITES, *_GROUPS, *_SCRIPTS, *_SIGNALS),
    "coordinator": (*_CONNECTION, *_READS, *_WRITES, *_GROUPS, *_SCRIPTS, *_SIGNALS),
    "turn-log": (
        *_CONNECTION,
        "hgetall",
        "xrange",
        "xrevrange",
        "xlen",
        "xinfo|stream",
        "xread",
        *_GROUPS,
    ),
    "backup": (*_CONNECTION, *_READS, *_WRITES, *_SCRIPTS, "scan", "dbsize"),
    "exporter": ("auth", "hello", "ping", "info", "dbsize", "client|setname"),
}
CHANNELS: Final[Mapping[Role, tuple[str, ...]]] = {
    "worker": ("kn:*:{*}:signal", "kn:pod:*:losses"),
    "coordinator": ("kn:*:{*}:signal", "kn:pod:*:losses"),
}


def acl_line(role: Role, password_rule: str, *, newer: bool = False) -> str:
    """Return the line of one user for Redis's ``aclfile`` or configuration.

    ``password_rule``: ``>password``, or ``#`` and its SHA-256 in hex. ``newer``: for Redis 7.2; an
    older one refuses lines with commands that it does not know.
    """
    keys = [
        ("~" if access == "rw" else "%R~") + pattern
        for family in FAMILIES
        if (access := family.access(role))
        for pattern in family.patterns
    ]
    channels = [f"&{pattern}" for pattern in CHANNELS.get(role, ())]
    own = {*COMMANDS[role], *(_SINCE_7_2 if newer else ())}
    commands = [f"+{name}" for name in sorted(own)]
    words = ["on", password_rule, "resetkeys", *keys, "resetchannels", *channels, "-@all"]
    return " ".join(["user", role, *words, *commands])
