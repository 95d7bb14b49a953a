"""Places of the core, each broken once, and the short tests that must see it.

One line each, of the kind that a hurried change makes: a comparison that is off by one, a check
that is skipped, a part of a key that is left out. They are not the rules that runs of
``kotaemon_node.proof`` judge (``tests.mutants.catalogue``): of these a test must become red that
``make test`` runs.
"""

from dataclasses import dataclass
from typing import Final

from tests.mutants.catalogue import APPEND, CLAIM, COMMIT, ENGINE, LUA, Change

CONTRACT, UNIT, PROPERTY = "tests/contract/test_", "tests/unit/test_", "tests/property/test_"
ONE: Final = "-k 'not sentinel and not cluster'"
"""Of the kinds of stores a single one: it is there soonest."""
SESSIONS: Final = f"{CONTRACT}sessions_redis.py {ONE}"
NODE, RETRIEVAL, API = "kotaemon_node", "kotaemon_node/retrieval", "kotaemon_node/api"
CACHE: Final = f"{NODE}/adapters/redis/session_cache.py"
SEALS: Final = f"{NODE}/adapters/sealing"


@dataclass(frozen=True)
class CoreMutant:
    """A broken place, and what pytest is called with: of this at least one test must fail."""

    area: str
    name: str
    change: Change
    tests: str


CORE_MUTANTS: Final = (
    CoreMutant(
        "sessions",
        "a turn of another's session is let in",
        Change(
            CLAIM,
            "if head[1] and ARGV[4] ~= '' and head[2] ~= ARGV[4] then return {'no_session'} end",
            "",
        ),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "a queue holds one turn more than it may",
        Change(
            CLAIM,
            "redis.call('LLEN', queue) >= tonumber(ARGV[10])",
            "redis.call('LLEN', queue) > tonumber(ARGV[10])",
        ),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "a long pause ends no context",
        Change(CLAIM, "now - tonumber(head[4]) > tonumber(ARGV[13])", "false"),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "frames may leave a gap",
        Change(APPEND, "if first > last + 1 then return 'gap' end\n", ""),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "what a turn decided is decided again by whoever repeats it",
        Change(APPEND, "redis.call('HSETNX', turn, 'j:'", "redis.call('HSET', turn, 'j:'"),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "a session forgets which generations it has seen",
        Change(COMMIT, "if ARGV[9] ~= '' then", "if false then"),
        SESSIONS,
    ),
    CoreMutant(
        "sessions",
        "the hash of a history is that of its newest turn",
        Change(
            COMMIT,
            "redis.sha1hex((redis.call('HGET', meta, 'hash') or '') .. ARGV[8])",
            "redis.sha1hex(ARGV[8])",
        ),
        f"{CONTRACT}session_cache.py {ONE}",
    ),
    CoreMutant(
        "sessions",
        "a pod that died of a turn is not counted",
        Change(
            f"{LUA}/seize.lua",
            "if not any and before ~= '' and not again then",
            "if false then",
        ),
        "tests/integration/test_engine_takeover.py",
    ),
    CoreMutant(
        "sessions",
        "a session is archived though it was rated since it was copied",
        Change(f"{LUA}/archive.lua", "for i = 1, 4 do if head[i]", "for i = 1, 2 do if head[i]"),
        f"{CONTRACT}archive.py {ONE}",
    ),
    CoreMutant(
        "shared state",
        "an open breaker lets everybody try",
        Change(f"{LUA}/breaker.lua", "if now < probe_until then return {0, 0} end\n", ""),
        f"{CONTRACT}breakers.py {ONE}",
    ),
    CoreMutant(
        "shared state",
        "a delayed job is leased to nobody",
        Change(
            f"{LUA}/later_take.lua",
            "redis.call('ZADD', due, now + tonumber(ARGV[3]), member)",
            "redis.call('ZADD', due, now, member)",
        ),
        f"{CONTRACT}later.py {ONE}",
    ),
    CoreMutant(
        "shared state",
        "a question that is asked for the first time is kept",
        Change(
            f"{LUA}/hot_look.lua",
            "if not (asked or all(redis.call('BITFIELD', KEYS[3], unpack(read)))) then "
            "return false end",
            "",
        ),
        f"{CONTRACT}hot_answers.py {ONE}",
    ),
    CoreMutant(
        "limits",
        "one request more than the limit is let in",
        Change(f"{LUA}/use.lua", "used + wanted > limit", "used + wanted > limit + 1"),
        f"{CONTRACT}use.py {ONE}",
    ),
    CoreMutant(
        "limits",
        "streams of who is gone count for ever",
        Change(f"{LUA}/use.lua", "redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)\n", ""),
        f"{CONTRACT}use.py {ONE}",
    ),
    CoreMutant(
        "cache",
        "what a pod remembers is not compared with the history",
        Change(CACHE, "if carried_on(known.hash, fresh) != head.hash:", "if False:"),
        f"{UNIT}session_remembered.py",
    ),
    CoreMutant(
        "cache",
        "a commit is added to another history",
        Change(CACHE, "if carried_on(entry.hash, [row]) != hash_:", "if False:"),
        f"{CONTRACT}session_cache.py {ONE}",
    ),
    CoreMutant(
        "generations",
        "a generation is closed while it is lent",
        Change(f"{RETRIEVAL}/slot.py", "            slot.holders += 1\n", ""),
        f"{PROPERTY}retrieval_slot.py {UNIT}retrieval_library.py",
    ),
    CoreMutant(
        "generations",
        "an older generation takes the place of a newer one",
        Change(
            f"{RETRIEVAL}/slot.py",
            "return ref.generation > served.generation",
            "return ref.generation != served.generation",
        ),
        f"{UNIT}retrieval_library.py {UNIT}signed_generations.py",
    ),
    CoreMutant(
        "generations",
        "who asks for a generation gets the one before",
        Change(
            f"{RETRIEVAL}/shelves.py",
            "reader.current.ref.generation >= generation",
            "reader.current.ref.generation >= generation - 1",
        ),
        f"{UNIT}retrieval_library.py",
    ),
    CoreMutant(
        "generations",
        "what was found is remembered without the digest of its generation",
        Change(
            f"{RETRIEVAL}/found_before.py",
            "key = (ref.kb, ref.generation, ref.digest, question, top_k, legs)",
            'key = (ref.kb, ref.generation, "", question, top_k, legs)',
        ),
        f"{UNIT}found_before.py",
    ),
    CoreMutant(
        "retrieval",
        "rows of deleted documents count for how rare a word is",
        Change(
            f"{RETRIEVAL}/bm25.py",
            "if not part.dead or not len(rows):",
            "if True or not len(rows):",
        ),
        f"{PROPERTY}retrieval_bm25.py {UNIT}segment_live_rows.py",
    ),
    CoreMutant(
        "answers",
        "a model's citation is taken for right",
        Change(
            f"{ENGINE}/citing.py",
            "borne = self._borne(claim, [n for n in asked if 1 <= n <= len(self._passages)])",
            "borne = [n for n in asked if 1 <= n <= len(self._passages)]",
        ),
        f"{UNIT}citing.py",
    ),
    CoreMutant(
        "answers",
        "an answer that was made across a swap is kept as hot",
        Change(
            f"{ENGINE}/sharing.py",
            "as_named = (found.generation, found.digest) == (ref.generation, ref.digest)",
            "as_named = True",
        ),
        "tests/integration/test_engine_hot_answers.py",
    ),
    CoreMutant(
        "answers",
        "a yes with an if carries it out",
        Change(
            f"{ENGINE}/acting/confirming.py",
            "if any(word in _HEDGES for word in said.split()):",
            "if not said:",
        ),
        f"{UNIT}confirming.py",
    ),
    CoreMutant(
        "answers",
        "a passage may close its quotation in the prompt",
        Change(f"{ENGINE}/prompt.py", '.replace(mark, " ")', ""),
        f"{UNIT}prompt.py",
    ),
    CoreMutant(
        "permissions",
        "a tenant's administrator runs the whole cluster",
        Change(
            f"{API}/permissions.py",
            "if access.whole_cluster and principal.tenant != DEFAULT_TENANT:",
            "if access.whole_cluster and not principal.tenant:",
        ),
        f"{UNIT}api_permissions.py",
    ),
    CoreMutant(
        "effects",
        "a call that goes on behind its turn is also asked about",
        Change(
            f"{ENGINE}/ledger.py",
            "if claim is None or claim.later or known or",
            "if claim is None or known or",
        ),
        f"{UNIT}slow_tools.py",
    ),
    CoreMutant(
        "permissions",
        "beside an empty token a login counts",
        Change(f"{API}/principal.py", 'return value.strip() or "-"', "return value.strip()"),
        f"{UNIT}api_keys.py",
    ),
    CoreMutant(
        "permissions",
        "another site acts with the login of the page",
        Change(
            f"{API}/principal.py",
            "if login and not from_elsewhere(request):",
            "if login:",
        ),
        f"{UNIT}api_login.py",
    ),
    CoreMutant(
        "permissions",
        "the secret before a rotation counts for ever",
        Change(
            f"{API}/key_ring.py", "for one in key.digests(now_s):", "for one in key.digests(0):"
        ),
        f"{UNIT}api_key_scopes.py",
    ),
    CoreMutant(
        "tenants",
        "a tenant is lent the knowledge of the cluster's",
        Change(
            f"{RETRIEVAL}/tenants.py",
            "            yield entry.library\n",
            "            yield self.default\n",
        ),
        f"{UNIT}retrieval_tenants.py",
    ),
    CoreMutant(
        "seals",
        "a sealed value opens in another turn of its session",
        Change(
            f"{SEALS}/values.py",
            "_told_apart(place.tenant, place.session, place.field, place.turn)",
            "_told_apart(place.tenant, place.session, place.field)",
        ),
        f"{UNIT}seals.py {CONTRACT}sealed_places.py {ONE}",
    ),
)
