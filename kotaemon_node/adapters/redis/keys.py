"""The key schema: every key of the product in Redis, its type and what it holds.

| key                                   | type   | holds                             | lifetime |
|---------------------------------------|--------|-----------------------------------|----------|
| kn:<tenant>:{<sid>}:meta              | hash   | epoch, version, hash, fence,      | session  |
|                                       |        | principal, context*, running turn,|          |
|                                       |        | state* (JSON: slots, topic, what  |          |
|                                       |        | waits for a yes), handoff* (JSON),|          |
|                                       |        | title*, summary* and the version  |          |
|                                       |        | it is to, whether no list shows it|          |
| kn:<tenant>:{<sid>}:turns             | list   | finished turns*, oldest first     | session  |
| kn:<tenant>:{<sid>}:queue             | list   | ids of accepted turns that wait   | session  |
| kn:<tenant>:{<sid>}:seen              | hash   | turn id → digest°[:version:fence  | session  |
|                                       |        | [:fence of the turn it started]], |          |
|                                       |        | "gone", or "sealed": nobody opens |          |
|                                       |        | it any more                       |          |
| kn:<tenant>:{<sid>}:past              | hash   | epoch before → "deleted", or why  | session  |
|                                       |        | it was lost and the call that     |          |
|                                       |        | told so                           |          |
| kn:<tenant>:{<sid>}:feedback          | hash   | turn id → what people said of it* | session  |
|                                       |        | (JSON)                            |          |
| kn:<tenant>:{<sid>}:record:<tid>      | hash   | epoch, fence and audit record*    | AUDIT_   |
|                                       |        | (JSON in zlib) of a turn          | TTL_S    |
| kn:<tenant>:{<sid>}:archived          | string | JSON of an archived session: what | while    |
|                                       |        | names its copy, lists show*; of   | copies   |
|                                       |        | a deleted one: "deleted" until    | are kept |
|                                       |        | its copies are, then "purged"     |          |
| kn:<tenant>:{<sid>}:turn:<tid>        | hash   | a turn that is not finished: its  | session  |
|                                       |        | message*, options*, journal* and  |          |
|                                       |        | who has it                        |          |
| kn:<tenant>:{<sid>}:f<digest of tid>  | stream | <seq>-0 → OFFSET: text*,          | turn +   |
|                                       |        | or type: JSON*                    | 10 min   |
| kn:<tenant>:{<sid>}:signal            | pubsub | "<tid> <seq>" after a flush;      | -        |
|                                       |        | " 0" when it is deleted           |          |
| kn:<tenant>:sessions:<subject>        | zset   | session ids by last activity (ms) | session, |
|                                       |        |                                   | archived |
| kn:<tenant>:all-sessions              | zset   | those of all principals           | as those |
| kn:idle:<shard>                       | zset   | tenant/sid by last activity (ms), | until it |
|                                       |        | for the archive; 0: its copies    | is       |
|                                       |        | are to be removed                 | archived |
| kn:running:<shard>                    | zset   | tenant/sid/tid by time (ms)       | bounded  |
| kn:running:unsent:<shard>             | zset   | as those; committed, and the bus  | 1 h from |
|                                       |        | did not take their events         | the last |
| kn:pod:<incarnation>                  | string | what the pod says of itself       | 2 s      |
| kn:pods                               | zset   | incarnations by heartbeat (ms)    | bounded  |
| kn:pod:<incarnation>:losses           | pubsub | "<tenant>/<sid>/<tid>"            | -        |
| kn:kb:<tenant>                        | hash   | knowledge base → generation       | -        |
| kn:{bus}:<topic>                      | stream | events: k (key), v (JSON)         | bounded  |
| kn:{jobs}:<tenant>:queue              | stream | ids of jobs that have not ended   | bounded  |
| kn:{jobs}:<tenant>:job:<id>           | hash   | the order*, its digest°, state,   | 24 h     |
|                                       |        | reason* and result*               | after it |
| kn:{jobs}:<tenant>:index              | zset   | ids of jobs by time (ms)          | bounded  |
| kn:{jobs}:<tenant>:dead               | stream | ids and reasons* of poison jobs   | bounded  |
| kn:{jobs}:tenants                     | set    | tenants whose jobs have not ended | until    |
|                                       |        |                                   | they do  |
| kn:{later:<shard>}:job:<tenant>/<id>  | hash   | a delayed job, its fields* and    | bounded; |
|                                       |        | error*; of one that ended that it | 24 h     |
|                                       |        | did                               |          |
| kn:{later:<shard>}:due:<kind>         | zset   | tenant/id by when it is due (ms), | bounded  |
|                                       |        | or when its lease ends            |          |
| kn:{later:<shard>}:of:<tenant>        | zset   | ids that have not ended (ms)      | bounded  |
| kn:{later:<shard>}:dead:<kind>        | zset   | tenant/id by when it died (ms)    | bounded  |
| kn:{later:<shard>}:letters:<tenant>   | zset   | ids of dead letters (ms)          | bounded  |
| kn:leader:{<name>}                    | hash   | holder, fence                     | lease    |
| kn:leader:{<name>}:fence              | string | counter of fences                 | -        |
| kn:{api-keys}:keys                    | hash   | key id → what is kept of it: its  | until it |
|                                       |        | SHA-256, tenant, role, subject, … | is       |
|                                       |        | (JSON)                            | revoked  |
| kn:{api-keys}:stamp                   | string | random, new with each change      | -        |
| kn:{api-keys}:session-secret          | string | what ids of sessions are made     | -        |
|                                       |        | with, where no file says it       |          |
| kn:{logins:<tenant>}:ended:<id>       | string | a login of the page that was ended| as it    |
|                                       |        |                                   | had lived|
| kn:{logins:<tenant>}:stamp:<digest>   | string | what logins of a person (digest of| 7 d      |
|                                       |        | its subject) carry since all that |          |
|                                       |        | it had were ended                 |          |
| kn:{audit:<tenant>}:head              | hash   | chain, seq and hash of the newest | -        |
|                                       |        | entry of the audit log            |          |
| kn:{audit:<tenant>}:lines             | stream | its newest entries (e: JSON),     | bounded  |
|                                       |        | <chain>-<seq>                     |          |
| kn:{audit:default}:known:settings/    | string | digests of the settings of the    | -        |
|   <program>                           |        | process that began last           |          |
| kn:audit-tenants                      | set    | tenants that have an audit log    | -        |
| kn:{sealing}:tenants                  | set    | tenants that have data keys       | -        |
| kn:{sealing:<tenant>}:keys            | hash   | id → data key, wrapped by a       | until it |
|                                       |        | master key (JSON); -id → when it  | is       |
|                                       |        | was destroyed (s); #newest → id   | destroyed|
| kn:answer:{<share>}:<digest°>         | string | a hot answer* (A, JSON in zlib),  | 3600 s;  |
|                                       |        | or the turn that makes it (L,     | 60 s     |
|                                       |        | JSON)                             |          |
| kn:answer:{<share>}:asked:<tenant>    | string | bits of digests° of the questions | 1 h,     |
|                                       |        | that were asked                   | renamed  |
| kn:answer:{<share>}:asked:<tenant>    | string | as that was, an hour before       | 1 h      |
|   :before                             |        |                                   |          |
| kn:answer:{<share>}:kept              | string | bytes of answers kept             | 3600 s   |
| kn:<tenant>:trace:<trace id>          | zset   | sid/tid by time (ms): whose audit | AUDIT_   |
|                                       |        | records have this trace           | TTL_S    |
| kn:{counts:<tenant>}:<day>            | hash   | profile:name → number             | 35 d     |
| kn:{counts:<tenant>}:<day>:asked      | zset   | questions° by how often they were | 35 d     |
| … :unanswered                         |        | asked, and not answered           |          |
| kn:{counts:<tenant>}:<day>:words      | hash   | digest° of a question → question* | 35 d     |
| kn:{counts:<tenant>}:counted:<hour>   | set    | digests of what was counted       | 2 h      |
| kn:{drafts:<tenant>}:<kb>             | hash   | digest° of a question that was not| 90 d     |
|                                       |        | answered well → it*, how often,   | after    |
|                                       |        | where (JSON)                      | the last |
| kn:{drafts:<tenant>}:<kb>:rank        | zset   | the same digests by how often     | as that  |
| kn:{drafts:<tenant>}:<kb>:noted:<hour>| set    | digests of what was noted         | 2 h      |
| kn:handoffs                           | zset   | tenant/sid of sessions that a     | 7 d      |
|                                       |        | person has, by when somebody      | after    |
|                                       |        | spoke (s)                         | that     |
| kn:breaker:{<digest of the address>}  | hash   | failures in a row, until when it  | an hour  |
|                                       |        | is open, who tries it             |          |
| kn:{plugins:<tenant>}:desired         | hash   | plugin → what is wanted of it     | -        |
|                                       |        | (JSON); #revision → a number that |          |
|                                       |        | rises with each change            |          |
| kn:{kept:<tenant>:<plugin>}:<key>     | string | what a plugin keeps* (JSON)       | 7 d      |
| kn:{kept:<tenant>:<plugin>}#keys      | zset   | its keys by when they end (ms)    | the last |
|                                       |        |                                   | of them  |
| kn:good:{<digest° of a call>}         | string | what a tool that reads answered*  | an hour  |
|                                       |        | last: user, tool and arguments    |          |
| kn:{use:<tenant>}:<who>:used          | hash   | what a principal used (digest of  | 120 s;   |
|                                       |        | its subject; "": the tenant):     | 2 d with |
|                                       |        | rings of 61 seconds of requests   | a day's  |
|                                       |        | and tokens, cost and bytes of the |          |
|                                       |        | day                               |          |
| … :streams                            | zset   | open streams by when their lease  | 20 s     |
|                                       |        | ends (ms)                         |          |
| … :held                               | zset   | reserved costs by when they count | 2 days   |
|                                       |        | as spent (ms)                     |          |
| kn:{use:<tenant>}:turn:<digest>       | hash   | what was reserved for a turn, how | 20 min,  |
|                                       |        | often it was asked for, and what  | settled  |
|                                       |        | each attempt at it told           | 120 s    |
| kn:schema                             | string | number of the schema of all this  | -        |
|                                       |        | (``schema``)                      |          |
| kn:touch:{<number>}                   | string | nothing: written to confirm what  | one a    |
|                                       |        | was written or read before it     | primary  |

Where there is a master key, what has a * is sealed for its place (``session_seals``), and a digest
with a ° is keyed, so that nobody guesses by it what was said. The rest are names, times, counts
and states, which scripts compare: docs/how-to/encryption.md says of each why.

The hash tag is the session id alone, so that all keys of a session share a slot of a Redis Cluster
and one script may touch them. Ids cannot hold braces or blanks (``domain.ids``). All topics of the
bus share one as well, because one command waits for all of them; those of the jobs, because a
script moves a job from one to another, and for the same reason those of a shard of delayed jobs
(by a digest of the id; ``later_keys``); those of API keys, which change together; what is used in
a tenant, which one script checks (``use_keys``); hot answers by
shares (two digits of the question's digest), with the bits by which their questions are known.
"""

import hashlib
import zlib
from dataclasses import dataclass

from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey

PODS = "kn:pods"
SCHEMA = "kn:schema"
HANDOFFS = "kn:handoffs"
API_KEYS = "kn:{api-keys}:keys"
API_KEYS_STAMP = "kn:{api-keys}:stamp"
SESSION_SECRET = "kn:{api-keys}:session-secret"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one session."""

    prefix: str

    @classmethod
    def of(cls, key: SessionKey) -> "SessionKeys":
        """Return the keys of ``key``."""
        return cls(f"kn:{key.tenant}:{{{key.session_id}}}:")

    @property
    def meta(self) -> str:
        """Hash."""
        return self.prefix + "meta"

    @property
    def turns(self) -> str:
        """List."""
        return self.prefix + "turns"

    @property
    def queue(self) -> str:
        """List."""
        return self.prefix + "queue"

    @property
    def seen(self) -> str:
        """Hash."""
        return self.prefix + "seen"

    @property
    def past(self) -> str:
        """Hash."""
        return self.prefix + "past"

    @property
    def feedback(self) -> str:
        """Hash."""
        return self.prefix + "feedback"

    def record(self, turn_id: str) -> str:
        """Hash."""
        return f"{self.prefix}record:{turn_id}"

    @property
    def archived(self) -> str:
        """String."""
        return self.prefix + "archived"

    @property
    def signal(self) -> str:
        """Pub/sub channel."""
        return self.prefix + "signal"

    def turn(self, turn_id: str) -> str:
        """Hash."""
        return f"{self.prefix}turn:{turn_id}"

    def frames(self, turn_id: str) -> str:
        """Stream. Its name is written to the append-only file with every flush, so it is short.

        40 bits of SHA-1, as ``frames_key`` in ``lua/_work.lua``: streams live for minutes, and a
        session has at most ``QUEUED_TURNS_MAX`` turns open, so that no two ever meet.
        """
        digest = hashlib.sha1(turn_id.encode(), usedforsecurity=False).hexdigest()
        return f"{self.prefix}f{digest[:10]}"

    def head(self) -> list[str]:
        """The keys that scripts on a session take first, in this order."""
        return [self.meta, self.turns, self.queue, self.seen]

    def resting(self) -> list[str]:
        """What is looked at of a session that is not there.

        All are named: while a slot moves, a script with one key goes where the others may not be.
        """
        return [self.meta, self.archived, self.past]


def running(key: TurnKey) -> tuple[str, str]:
    """Return (key of the shard, member) of a turn in the index of running turns."""
    member = f"{key.session.tenant}/{key.session.session_id}/{key.turn_id}"
    return running_shard(_shard(key)), member


def running_shard(shard: int) -> str:
    """Return the key of one shard of the index."""
    return f"kn:running:{shard}"


def unsent_shard(shard: int) -> str:
    """Return the key of what that shard holds of turns whose events the bus did not take.

    Its pattern is that of the index, so users of Redis that were set up before may use it.
    """
    return f"kn:running:unsent:{shard}"


def unsent(key: TurnKey) -> tuple[str, str]:
    """Return (key of the shard, member) of a turn among those."""
    _, member = running(key)
    return unsent_shard(_shard(key)), member


def _shard(key: TurnKey) -> int:
    return zlib.crc32(key.session.session_id.encode()) % limits.RUNNING_SHARDS


def running_member(member: str) -> TurnKey:
    """Read back what ``running`` wrote."""
    tenant, session_id, turn_id = member.split("/")
    return TurnKey(session=SessionKey(tenant=tenant, session_id=session_id), turn_id=turn_id)


def idle(key: SessionKey) -> tuple[str, str]:
    """Return (key of the shard, member) of a session in the index of idle ones."""
    shard = zlib.crc32(key.session_id.encode()) % limits.IDLE_SHARDS
    return idle_shard(shard), f"{key.tenant}/{key.session_id}"


def idle_shard(shard: int) -> str:
    """Return the key of one shard of that index."""
    return f"kn:idle:{shard}"


def idle_member(member: str) -> SessionKey:
    """Read back what ``idle`` wrote."""
    tenant, session_id = member.split("/")
    return SessionKey(tenant=tenant, session_id=session_id)


def sessions_of(tenant: str, subject: str | None) -> str:
    """Return the key of a principal's list of sessions; None: that of all of the tenant."""
    return f"kn:{tenant}:all-sessions" if subject is None else f"kn:{tenant}:sessions:{subject}"


def pod(incarnation: str) -> str:
    """Return the key of a pod's heartbeat."""
    return f"kn:pod:{incarnation}"


def losses(incarnation: str) -> str:
    """Return the channel on which a pod is told which turns are its own no more."""
    return f"kn:pod:{incarnation}:losses"


def knowledge_bases(tenant: str) -> str:
    """Return the key of the pointers of a tenant's knowledge bases."""
    return f"kn:kb:{tenant}"


def bus(topic: str) -> str:
    """Return the key of a topic's stream."""
    return f"kn:{{bus}}:{topic}"


def trace(tenant: str, trace_id: str) -> str:
    """Return the key by which the audit records of a trace are found."""
    return f"kn:{tenant}:trace:{trace_id}"


def leader(name: str) -> str:
    """Return the key of a leader lease; that of its fences begins with it and shares its slot."""
    return f"kn:leader:{{{name}}}"


def breaker(endpoint: str) -> str:
    """Return the key of the breaker of an endpoint."""
    return f"kn:breaker:{{{endpoint}}}"


def plugins(tenant: str) -> str:
    """Return the key of what is wanted of a tenant's plugins."""
    return f"kn:{{plugins:{tenant}}}:desired"


def kept(tenant: str, plugin: str, key: str) -> str:
    """Return the key of a value that a plugin keeps."""
    return f"kn:{{kept:{tenant}:{plugin}}}:{key}"


def kept_keys(tenant: str, plugin: str) -> str:
    """Return the key of the index of those."""
    return f"kn:{{kept:{tenant}:{plugin}}}#keys"


def last_good(call: str) -> str:
    """Return the key of the last good result of a call, named by its digest."""
    return f"kn:good:{{{call}}}"


def touch(number: int) -> str:
    """Return a key that is written only to confirm what came before; its number makes its slot."""
    return f"kn:touch:{{{number}}}"
