"""For each alert: what makes it fire, and what looks similar and must not.

Series are written as promtool's unit tests have them: ``0x80`` stays, ``0+3x80`` grows by 3 each
30 s. All are looked at after ``at_min`` minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """Inputs of one alert."""

    fires: tuple[Series, ...]
    quiet: tuple[Series, ...]
    at_min: int = 15


def pod(name: str, metric: str, *labels: str) -> str:
    """Return a series of a pod of one namespace."""
    told = ",".join(('namespace="shop"', f'pod="{name}"', *labels))
    return f"{metric}{{{told}}}"


def haproxy(metric: str, *labels: str, proxy: str = "workers") -> str:
    return pod("haproxy-0", f"haproxy_{metric}", f'proxy="{proxy}"', *labels)


def buckets(metric: str, bounds: Mapping[str, int], *labels: str) -> dict[str, str]:
    """Return a histogram that grows by ``bounds`` (counts up to each bound) each 30 s."""
    rows = {
        pod("worker-0", f"{metric}_bucket", *labels, f'le="{bound}"'): f"0+{count}x80"
        for bound, count in bounds.items()
    }
    return {**rows, pod("worker-0", f"{metric}_count", *labels): f"0+{bounds['+Inf']}x80"}


def turns(done: int, failed: int) -> dict[str, str]:
    return {
        pod("worker-0", "kotaemon_turns_total", 'outcome="done"'): f"0+{done}x80",
        pod("worker-0", "kotaemon_turns_total", 'outcome="failed"'): f"0+{failed}x80",
    }


_LATER_JOBS = ("kotaemon_later_jobs_total", 'kind="webhook"')
LATER_DEAD = pod("worker-0", *_LATER_JOBS, 'outcome="dead"')
LATER_FAILED = pod("worker-0", *_LATER_JOBS, 'outcome="failed"')
LATER_LATE = pod("worker-0", "kotaemon_later_late_seconds", 'kind="webhook"')
READY_0 = pod("worker-0", "kotaemon_ready")
READY_1 = pod("worker-1", "kotaemon_ready")
DRAINING_0 = pod("worker-0", "kotaemon_draining")
UP_0 = pod("worker-0", "up", 'job="kotaemon-worker"')
STARTED = pod("worker-0", "kotaemon_process_start_time_seconds")
LOAD_0, LOAD_1 = pod("worker-0", "kotaemon_load_ratio"), pod("worker-1", "kotaemon_load_ratio")
FDS = pod("worker-0", "kotaemon_process_open_fds")
FDS_MAX = pod("worker-0", "kotaemon_process_max_fds")
DEGRADED = pod("worker-0", "kotaemon_turns_degraded_total")
PLUGIN_BREAKER = pod("worker-0", "kotaemon_plugin_breaker_open", 'plugin="orders"')
BREAKER = pod("worker-0", "kotaemon_breaker_open", 'endpoint="llm.models:8000"')
TAKEOVERS = pod("worker-0", "kotaemon_takeovers_total")
HANDOVERS = pod("worker-1", "kotaemon_handovers_total")
TOOL = 'plugin="orders"'
TOOL_DONE = pod("worker-0", "kotaemon_plugin_calls_total", TOOL, 'outcome="done"')
TOOL_FAILED = pod("worker-0", "kotaemon_plugin_calls_total", TOOL, 'outcome="failed"')
REQUESTS = haproxy("frontend_http_requests_total", proxy="public")
ANSWERED_5XX = haproxy("frontend_http_responses_total", 'code="5xx"', proxy="public")
LEADER_0 = pod("coordinator-0", "kotaemon_coordinator_leader")
LEADER_1 = pod("coordinator-1", "kotaemon_coordinator_leader")
SERVED_0 = pod("worker-0", "kotaemon_knowledge_generation", 'kb="default"')
SERVED_1 = pod("worker-1", "kotaemon_knowledge_generation", 'kb="default"')
PUBLISHED = pod("coordinator-0", "kotaemon_coordinator_generation", 'kb="default"')
REFUSED = pod("worker-0", "kotaemon_knowledge_refused", 'kb="default"')
AUDIT_LOST = pod("worker-0", "kotaemon_audit_lost_total")
AUDIT_WAITING = pod("worker-0", "kotaemon_audit_waiting")
AUDIT_SET_BACK = pod("worker-0", "kotaemon_audit_set_back_total")
AUDIT_UNSWEPT = pod("coordinator-0", "kotaemon_coordinator_audit_unswept_seconds")
LIMITED_TOKENS = pod("worker-0", "kotaemon_limited_total", 'limit="tokens"')
LIMITED_STREAMS = pod("worker-1", "kotaemon_limited_total", 'limit="streams"')
LIMITED_KEYS = pod("worker-0", "kotaemon_limited_total", 'limit="credentials"')
UNCHECKED = pod("worker-0", "kotaemon_limits_unchecked_total")
ASKED = pod("worker-0", "kotaemon_http_requests_total", 'status="200"')
TENANTS_TROUBLE = pod("coordinator-0", "kotaemon_coordinator_tenants", 'state="trouble"')
TENANT_REFUSED = pod("worker-0", "kotaemon_generation_refused_total", 'kb="*"', 'reason="corrupt"')
UNLOADED = pod("worker-0", "kotaemon_plugins_unloaded")
PROBLEM = pod("coordinator-0", "kotaemon_coordinator_problem")
SILENT = pod("coordinator-0", "kotaemon_coordinator_loop_silent_seconds")
HELD = pod("coordinator-0", "kotaemon_coordinator_held", 'kb="default"')
RECALL_7 = pod("coordinator-0", "kotaemon_probe_recall", 'kb="default"', 'generation="7"')
RECALL_8 = pod("coordinator-0", "kotaemon_probe_recall", 'kb="default"', 'generation="8"')
RECALL_HELD = pod("coordinator-0", "kotaemon_probe_recall", 'kb="default"', 'generation="held"')
DAMAGE = pod("coordinator-0", "kotaemon_coordinator_damage_found_total", 'kb="default"')
STORE_FULL = pod("worker-0", "kotaemon_store_refusals_total", 'reason="full"')
UNCONFIRMED = pod("worker-0", "kotaemon_unconfirmed_writes_total")
WIPED = pod("worker-0", "kotaemon_sessions_gone_total", 'reason="wiped"')
GONE_TURN = pod("worker-0", "kotaemon_sessions_gone_total", 'reason="turn"')
UNSENT = pod("worker-0", "kotaemon_events_unsent")
_TOPIC = 'topic="session_updated"'
DROPPED = pod("worker-0", "kotaemon_events_total", _TOPIC, 'outcome="dropped"')
POISON = pod("worker-0", "kotaemon_events_total", _TOPIC, 'outcome="poison"')
IGNORED = pod("worker-0", "kotaemon_events_total", _TOPIC, 'outcome="ignored"')
SERVERS = haproxy("backend_active_servers")
CERTIFICATE = pod("haproxy-0", "kotaemon_balancer_certificate_not_after_seconds")
NOT_SERVED = pod("haproxy-0", "kotaemon_balancer_certificate_refused")
RETRIES = haproxy("backend_retry_warnings_total")
ARCHIVE_AWAY = pod("coordinator-0", "kotaemon_archive_failures_total", 'reason="unavailable"')
KEY_MISSING = pod("worker-0", "kotaemon_seals_refused_total", 'reason="master_key_missing"')
EXPIRED = pod("coordinator-0", "kotaemon_sessions_expired_total")
RESTORED = pod("worker-0", "kotaemon_sessions_restored_total", 'outcome="restored"')
MISSING = pod("worker-0", "kotaemon_sessions_restored_total", 'outcome="missing"')

STAYS_0, STAYS_1 = "0x80", "1x80"
CASES: Mapping[str, Case] = {
    "KotaemonNoPodReady": Case(
        fires=(
            {READY_0: STAYS_0, READY_1: STAYS_0, UP_0: STAYS_1},
            {UP_0: STAYS_0},
            {},
        ),
        quiet=({READY_0: STAYS_0, READY_1: STAYS_1, UP_0: STAYS_1},),
    ),
    "KotaemonPodNotReady": Case(
        fires=({READY_0: STAYS_0, DRAINING_0: STAYS_0},),
        quiet=(
            {READY_0: STAYS_0, DRAINING_0: STAYS_1},
            {READY_0: "1x20 0x4 1x50", DRAINING_0: STAYS_0},
        ),
    ),
    "KotaemonTargetDown": Case(
        fires=({UP_0: STAYS_0},),
        quiet=({UP_0: STAYS_1}, {pod("other-0", "up", 'job="other"'): STAYS_0}),
    ),
    "KotaemonRestarts": Case(
        fires=({STARTED: "100x3 200x3 300x3 400x3 500x60"},),
        quiet=({STARTED: "100x3 200x70"},),
    ),
    "KotaemonHeartbeatsLate": Case(
        fires=(buckets("kotaemon_heartbeat_gap_seconds", {"1.5": 50, "+Inf": 60}),),
        quiet=(buckets("kotaemon_heartbeat_gap_seconds", {"1.5": 60, "+Inf": 60}),),
    ),
    "KotaemonNearCapacity": Case(
        fires=({LOAD_0: "0.9x80", LOAD_1: "0.8x80"},),
        quiet=({LOAD_0: "0.95x80", LOAD_1: "0.4x80"},),
    ),
    "KotaemonOpenFiles": Case(
        fires=({FDS: "900x80", FDS_MAX: "1000x80"},),
        quiet=({FDS: "700x80", FDS_MAX: "1000x80"},),
    ),
    "KotaemonTurnFailures": Case(
        fires=(turns(90, 10),), quiet=(turns(99, 1), turns(0, 0)), at_min=20
    ),
    "KotaemonFirstTextSlow": Case(
        fires=(buckets("kotaemon_first_text_seconds", {"5.0": 50, "10.0": 60, "+Inf": 60}),),
        quiet=(
            buckets("kotaemon_first_text_seconds", {"5.0": 60, "10.0": 60, "+Inf": 60}),
            buckets("kotaemon_first_text_seconds", {"5.0": 0, "10.0": 0, "+Inf": 0}),
        ),
        at_min=25,
    ),
    "KotaemonTakeovers": Case(
        fires=({TAKEOVERS: "0+1x80", HANDOVERS: STAYS_0},),
        quiet=(
            {TAKEOVERS: "0x20 100x60", HANDOVERS: STAYS_0},  # one pod died with a hundred turns
            {TAKEOVERS: "0+1x80", HANDOVERS: "0+1x80"},
        ),
        at_min=35,
    ),
    "KotaemonLanguageModelFails": Case(
        fires=({**turns(80, 0), DEGRADED: "0+20x80"},),
        quiet=({**turns(80, 0), DEGRADED: "0+1x80"},),
        at_min=20,
    ),
    "KotaemonBreakerOpen": Case(
        fires=({BREAKER: "1x80"},),
        quiet=({BREAKER: "0x80"}, {BREAKER: "0x10 1x3 0x70"}),
        at_min=10,
    ),
    "KotaemonPluginBreakerOpen": Case(
        fires=({PLUGIN_BREAKER: "1x80"},),
        quiet=({PLUGIN_BREAKER: "0x80"}, {PLUGIN_BREAKER: "0x10 1x1 0x70"}),
        at_min=10,
    ),
    "KotaemonToolFails": Case(
        fires=({TOOL_DONE: "0+6x80", TOOL_FAILED: "0+4x80"},),
        quiet=({TOOL_DONE: "0+9x80", TOOL_FAILED: "0+1x80"},),
        at_min=30,
    ),
    "KotaemonRequestErrors": Case(
        fires=({REQUESTS: "0+100x80", ANSWERED_5XX: "0+10x80"},),
        quiet=({REQUESTS: "0+100x80", ANSWERED_5XX: "0+1x80"},),
    ),
    "KotaemonNoLeader": Case(
        fires=({LEADER_0: STAYS_0, LEADER_1: STAYS_0}, {}),
        quiet=({LEADER_0: STAYS_0, LEADER_1: STAYS_1}, {LEADER_0: "1x20 0x2 1x50"}),
    ),
    "KotaemonGenerationsDisagree": Case(
        fires=(
            {SERVED_0: "7x5 8x70", SERVED_1: "7x80"},
            {SERVED_0: "7x80", SERVED_1: "7x80", PUBLISHED: "8x80"},
        ),
        # Something is published each half minute, and one pod is always one behind.
        quiet=({SERVED_0: "7+1x80", SERVED_1: "6+1x80", PUBLISHED: "7+1x80"},),
    ),
    "KotaemonPluginNotLoaded": Case(
        fires=({UNLOADED: STAYS_1},), quiet=({UNLOADED: STAYS_0}, {UNLOADED: "1x2 0x70"})
    ),
    "KotaemonGenerationRefused": Case(
        fires=({REFUSED: STAYS_1},), quiet=({REFUSED: STAYS_0},), at_min=5
    ),
    "KotaemonBuildFails": Case(
        fires=({PROBLEM: STAYS_1, SILENT: "1x80"}, {PROBLEM: STAYS_0, SILENT: "700x80"}),
        quiet=({PROBLEM: "1x6 0x70", SILENT: "1x80"},),
    ),
    "KotaemonBuildHeld": Case(fires=({HELD: STAYS_1},), quiet=({HELD: STAYS_0},)),
    "KotaemonRecallFell": Case(
        fires=({RECALL_7: "0.9x10 stale", RECALL_8: "_x10 0.7x60"},),
        quiet=(
            {RECALL_7: "0.9x10 stale", RECALL_8: "_x10 0.88x60"},
            {RECALL_7: "0.9x80", RECALL_HELD: "0.3x80"},
        ),
    ),
    "KotaemonArtifactsDamaged": Case(fires=({DAMAGE: "0x10 1x60"},), quiet=({DAMAGE: STAYS_0},)),
    "KotaemonStoreRefuses": Case(
        fires=({STORE_FULL: "0+5x80"},), quiet=({STORE_FULL: "0x10 1x60"},)
    ),
    "KotaemonStoreUnconfirmed": Case(
        fires=({UNCONFIRMED: "0+2x80"},), quiet=({UNCONFIRMED: STAYS_0},)
    ),
    "KotaemonStoreSlow": Case(
        fires=(buckets("kotaemon_store_seconds", {"0.5": 90, "1.0": 100, "+Inf": 100}),),
        quiet=(buckets("kotaemon_store_seconds", {"0.5": 100, "1.0": 100, "+Inf": 100}),),
        at_min=20,
    ),
    "KotaemonStoreLostSessions": Case(
        fires=({WIPED: "0x10 3x60"},), quiet=({WIPED: STAYS_0, GONE_TURN: "0x10 3x60"},)
    ),
    "KotaemonEventsUnsent": Case(
        fires=({UNSENT: "5x80", DROPPED: STAYS_0}, {UNSENT: STAYS_0, DROPPED: "0x15 5x60"}),
        quiet=({UNSENT: "0x20 5x3 0x60", DROPPED: STAYS_0},),
        at_min=12,
    ),
    "KotaemonPoisonEvents": Case(
        fires=({POISON: "0x15 1x60"},), quiet=({POISON: STAYS_0, IGNORED: "0+9x80"},)
    ),
    "KotaemonDeadLetters": Case(
        fires=({LATER_DEAD: "0x15 1x60"},),
        quiet=({LATER_DEAD: STAYS_0, LATER_FAILED: "0+9x80"}, {LATER_DEAD: "7x80"}),
    ),
    "KotaemonLaterLate": Case(
        fires=({LATER_LATE: "0x5 150x80"},),
        quiet=({LATER_LATE: "90x80"}, {LATER_LATE: "0x20 500x5 0x60"}),
    ),
    "KotaemonBalancerNoServer": Case(
        fires=({SERVERS: STAYS_0},), quiet=({SERVERS: "3x80"},), at_min=5
    ),
    "KotaemonBalancerMissesPods": Case(
        fires=({READY_0: STAYS_1, READY_1: STAYS_1, SERVERS: STAYS_1},),
        quiet=({READY_0: STAYS_1, READY_1: STAYS_1, SERVERS: "2x80"},),
    ),
    "KotaemonBalancerRetries": Case(
        fires=({REQUESTS: "0+100x80", RETRIES: "0+10x80"},),
        quiet=({REQUESTS: "0+100x80", RETRIES: "0+1x80"},),
    ),
    "KotaemonCertificateExpires": Case(
        # In seconds since 1970, where these cases begin.
        fires=({CERTIFICATE: "1000000x80"},),
        quiet=({CERTIFICATE: "2000000x80"}, {CERTIFICATE: "1000000x5 3000000x75"}),
        at_min=30,
    ),
    "KotaemonCertificateRefused": Case(
        fires=({NOT_SERVED: "0x5 1x75"},), quiet=({NOT_SERVED: "0x5 1x3 0x72"},)
    ),
    "KotaemonSealsRefused": Case(
        fires=({KEY_MISSING: "0x10 4x60"},), quiet=({KEY_MISSING: STAYS_0},)
    ),
    "KotaemonArchiveFailures": Case(
        fires=({ARCHIVE_AWAY: "0x10 4x60"},), quiet=({ARCHIVE_AWAY: STAYS_0},)
    ),
    "KotaemonSessionsExpired": Case(fires=({EXPIRED: "0x10 2x60"},), quiet=({EXPIRED: STAYS_0},)),
    "KotaemonRestoreFailures": Case(
        fires=({RESTORED: "0+1x80", MISSING: "0x15 1x60"},),
        quiet=({RESTORED: "0+1x80", MISSING: STAYS_0},),
    ),
    "KotaemonAuditLost": Case(
        fires=({AUDIT_LOST: "0x10 4x60"}, {AUDIT_WAITING: "0x10 3000x60"}),
        quiet=({AUDIT_LOST: STAYS_0, AUDIT_WAITING: "500x80"},),
    ),
    "KotaemonAuditSetBack": Case(
        fires=({AUDIT_SET_BACK: "0x10 1x60"}, {AUDIT_UNSWEPT: "1000x80"}),
        quiet=({AUDIT_SET_BACK: STAYS_0, AUDIT_UNSWEPT: "30x80"},),
    ),
    "KotaemonTenantTrouble": Case(
        fires=({TENANTS_TROUBLE: "1x80"}, {TENANT_REFUSED: "0x10 2x60"}),
        quiet=({TENANTS_TROUBLE: "0x80", TENANT_REFUSED: STAYS_0},),
    ),
    "KotaemonManyLimited": Case(
        fires=(
            {LIMITED_TOKENS: "0+20x80", ASKED: "0+100x80"},
            # each limit by itself; all of them together are another matter
            {LIMITED_TOKENS: "0+1x80", LIMITED_STREAMS: "0+30x80", ASKED: "0+100x80"},
        ),
        quiet=(
            {LIMITED_TOKENS: "0+5x80", ASKED: "0+100x80"},
            {LIMITED_TOKENS: "0+0.5x80", ASKED: "0+1x80"},  # of a few requests half are not many
            {LIMITED_KEYS: "0+50x80", ASKED: "0+100x80"},
        ),
        at_min=20,
    ),
    "KotaemonLimitsUnchecked": Case(
        fires=({UNCHECKED: "0x10 4x60"},), quiet=({UNCHECKED: STAYS_0},)
    ),
    "KotaemonCredentialsTried": Case(
        fires=({LIMITED_KEYS: "0x10 4x60"},),
        quiet=({LIMITED_KEYS: STAYS_0, LIMITED_TOKENS: "0+5x80"},),
    ),
}
