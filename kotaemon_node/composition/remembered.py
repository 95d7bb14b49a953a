"""Composes what a pod remembers of answers: hot ones, which all pods share, and what it found."""

import hashlib
import json
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from kotaemon_node import __version__
from kotaemon_node.adapters.redis import RedisHotAnswers, connect
from kotaemon_node.domain import limits
from kotaemon_node.engine.joining import Joining
from kotaemon_node.engine.remembering import Remembering
from kotaemon_node.engine.similar import SimilarQuestions
from kotaemon_node.ports.cipher import FieldCipher
from kotaemon_node.ports.frame_log import FrameLog
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics

_PACKAGES: Final = ("adapters", "domain", "engine", "retrieval")
"""Where answers are made: another version of these may make another answer."""
# What a pod has for itself, secrets, and what is named by generation and profile: all this changes
# without changing an answer. Every other setting counts, also one that is new: a pod with another
# value makes its own answers, and at worst shares too few.
_OWN_SETTINGS: Final = frozenset(
    re.findall(
        r"\S+",
        """admin_key admin_key_file analytics_questions answer_cache_similar answer_cache_ttl_s
        api_keys_stale_s archive_after_s archive_kept_s artifact_cache_bytes_max
        artifact_cache_dir artifact_s3_endpoint artifact_s3_region artifact_token
        artifact_url audit_key_file audit_kept_s audit_log
        audit_ttl_s auth_mode durability elasticsearch_api_key
        elasticsearch_ca_file elasticsearch_password elasticsearch_username encoder_api_key
        encryption_data_key_age_s encryption_key_file encryption_plain experiment_file
        kafka_bootstrap_servers kafka_ca_file kafka_password kafka_sasl_mechanism
        artifact_ca_file kafka_cert_file kafka_key_file kafka_password_file rabbitmq_cert_file
        rabbitmq_key_file rabbitmq_password_file tls_cert_file tls_hsts_s tls_http_port
        tls_key_file trusted_proxies
        balancer_networks redis_users limit_by_address limit_cost_per_day limit_refused_per_minute
        limit_requests_per_minute limit_streams limit_tokens_per_minute limit_turn_tokens
        limit_upload_bytes_per_day limits_file
        intent_api_key kafka_security_protocol kafka_username knowledge_dir leave_port llm_api_key
        llm_api_key_file
        oidc_algorithms oidc_audience oidc_ca_file oidc_client_id oidc_client_secret
        oidc_client_secret_file oidc_default_role oidc_file oidc_issuer oidc_keys_s
        oidc_keys_stale_s oidc_label oidc_leeway_s oidc_login_scopes oidc_logout_url
        oidc_redirect_url oidc_role_claim oidc_roles oidc_scope_prefix oidc_subject_claim
        oidc_tenant oidc_tenant_claim oidc_tenants
        log_level model_dir native_threads otel_exporter_otlp_endpoint
        otel_exporter_otlp_headers otel_service_name otel_traces_sample_ratio
        plugin_secrets_dir plugins_dir pod_address pod_name pod_pid_file rabbitmq_ca_file
        rabbitmq_url redis_url
        rerank_api_key session_idle_s session_secret_file session_ttl_s speech_api_key
        signing_key_file source_cache_s tenants_open_max trusted_keys turn_log turn_log_texts
        upload_dir vector_store_key""",
    )
)


def remembering_of(
    settings: Settings,
    *,
    cipher: FieldCipher,
    frames: FrameLog,
    clock: Clock,
    tasks: Tasks,
    metrics: Metrics,
) -> Remembering | None:
    """Return who looks for hot answers; None where none is kept. Connects when first used."""
    if not settings.answer_cache_ttl_s:
        return None
    # Connections of its own: a cache that hangs must not use up those of the sessions, and what it
    # writes needs no replica's word.
    store = connect(
        settings.redis_url,
        pool_max=limits.REDIS_HOT_ANSWERS_MAX,
        cipher=cipher,
        answered=metrics.store_answered,
        shared=True,
    )
    return Remembering(
        RedisHotAnswers(store, ttl_s=settings.answer_cache_ttl_s),
        joining=Joining(frames),
        clock=clock,
        tasks=tasks,
        metrics=metrics,
        programs=programs_digest(settings),
        similar=SimilarQuestions(least) if (least := settings.answer_cache_similar) else None,
    )


def settings_version(settings: Settings) -> str:
    """Return twelve hex digits that are equal where the settings are that answers depend on.

    No secret takes part, and nothing that each pod has for itself.
    """
    said = settings.model_dump(mode="json", exclude=set(_OWN_SETTINGS))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def programs_digest(settings: Settings) -> str:
    """Return a digest of the programs and settings that answers depend on.

    A new version, and one that somebody changed, finds no answers of the one before.
    """
    said = settings.model_dump(mode="json", exclude=set(_OWN_SETTINGS))
    digest = hashlib.sha256(json.dumps([__version__, said], sort_keys=True).encode())
    package = resources.files("kotaemon_node")
    for name in _PACKAGES:
        _add_sources(digest, package.joinpath(name))
    for name, value in settings:
        if name not in _OWN_SETTINGS and isinstance(value, Path) and value.is_file():
            digest.update(name.encode() + b"\x00" + value.read_bytes())
    return digest.hexdigest()


def _add_sources(digest: "hashlib._Hash", folder: Traversable) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            _add_sources(digest, entry)
        elif entry.name.endswith((".py", ".lua", ".json")):
            digest.update(entry.name.encode() + b"\x00" + entry.read_bytes())
