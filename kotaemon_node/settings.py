"""Settings from the environment, read once at the edge into a frozen value and checked here."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from kotaemon_node.domain import acting_limits, door_limits, limits
from kotaemon_node.domain.events import SessionEvents
from kotaemon_node.settings_limits import LimitSettings
from kotaemon_node.settings_oidc import OidcSettings
from kotaemon_node.settings_tls import TlsSettings

_HEADER_NAME: Final = re.compile("[A-Za-z0-9_-]+", re.ASCII)


class Settings(TlsSettings, OidcSettings, LimitSettings):
    """Every setting of both programs. Names are the environment variables, in lower case.

    ``docs/reference/settings.md`` lists them; a test compares the two.
    """

    # Inputs are hidden: what is told of a wrong setting ends up in logs, and others hold secrets.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis that holds sessions and the bus: one, behind Sentinel or a Cluster (``redis+…://``)."""
    durability: Literal["local", "replica", "fsync"] = "local"
    """Where a write must be before anybody is told: in Redis, at a replica too, on the disk."""
    kafka_bootstrap_servers: str = ""
    """Kafka brokers that carry the bus, as ``host:port,host:port``; empty: Redis carries it."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_username: str = ""
    kafka_password: str = ""
    kafka_ca_file: Path | None = None
    """Certificates that sign the brokers'; None: those of the system."""
    rabbitmq_url: str = ""
    """RabbitMQ that carries the bus, as ``amqp(s)://user:password@host:port/virtual-host``."""
    rabbitmq_ca_file: Path | None = None
    """Certificates that sign its own; None: those of the system."""
    session_events: SessionEvents = "all"
    """After which turns the other pods are told that a session has a newer version."""
    turn_log: Literal["auto", "on", "off"] = "auto"
    """Whether each finished turn is told on the bus; ``auto``: where the bus is Kafka."""
    turn_log_texts: bool = False
    """Whether the turn log has message and answer, too."""
    elasticsearch_api_key: str = ""
    """Key by which Elasticsearch lets the log of turns in."""
    elasticsearch_username: str = ""
    elasticsearch_password: str = ""
    elasticsearch_ca_file: Path | None = None
    """Certificates that sign its own; None: those of the system."""
    artifact_url: str = "file:///var/lib/kotaemon/artifacts"
    """Where generations of knowledge lie: a folder, a bucket of S3, or a coordinator (HTTP)."""
    artifact_token: str = ""
    """Shared secret of the coordinator that serves artifacts and the workers that read there."""
    artifact_cache_dir: Path = Path("/var/cache/kotaemon/artifacts")
    """Copies of artifacts that lie elsewhere; the processes of a machine may share it."""
    artifact_cache_bytes_max: int = Field(default=limits.ARTIFACT_CACHE_BYTES_DEFAULT, ge=1 << 20)
    artifact_s3_endpoint: str = ""
    """Address of a server that speaks S3; empty: that of AWS."""
    artifact_s3_region: str = ""
    vector_store: str = "faiss"
    """Who finds the nearest vectors: ``faiss``, in segments, or ``weaviate+http://host:port``."""
    vector_store_key: str = ""
    """Key by which a vector store elsewhere lets us in."""
    signing_key_file: Path | None = None
    """Private key with which the coordinator signs generations; no worker needs it."""
    trusted_keys: str = ""
    """Public keys whose generations are served, or files of them; empty: none is."""
    upload_dir: Path | None = None
    """Where a pod keeps uploads while they arrive; None: the system's temporary folder."""
    tenants_open_max: int = Field(default=limits.TENANTS_OPEN_DEFAULT, ge=1, le=10_000)
    """How many tenants' knowledge a pod holds at once, besides that of ``default``."""
    knowledge_dir: Path = Path("/var/lib/kotaemon/knowledge")
    """Folder that the coordinator watches."""
    model_dir: Path = Path("/var/lib/kotaemon/models")
    """Folder of encoder weights, filled by ``kotaemon models``."""

    encoder_model: str = ""
    """Name of one encoder model, or names joined by ``+``; empty: the default of ADR 0003."""
    encoder_backend: Literal["onnx", "torch", "http"] = "onnx"
    encoder_url: str = ""
    """Server of OpenAI-compatible embeddings, with ``/v1``, for the backend ``http``."""
    encoder_api_key: str = ""
    """Key by which it lets us in."""
    encoder_threads: int = Field(default=1, ge=1, le=256)

    llm_base_url: str = Field(
        default="", validation_alias=AliasChoices("llm_base_url", "openai_base_url")
    )
    llm_api_key: str = Field(
        default="", validation_alias=AliasChoices("llm_api_key", "openai_api_key")
    )
    llm_api_key_file: Path | None = None
    """File that holds the key instead; read anew when it changes."""
    llm_model: str = "default"
    llm_continue: Literal["vllm", "prefill", "none"] = "none"
    llm_temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """None: the server's own."""
    llm_seed: int | None = Field(default=None, ge=0, lt=1 << 31)
    llm_price_prompt: float = Field(default=0.0, ge=0.0, le=1e6)
    """Price of a million tokens that the model reads, in any currency."""
    llm_price_completion: float = Field(default=0.0, ge=0.0, le=1e6)
    """Price of a million tokens that it writes, in the same."""
    llm_prompt_chars: int = Field(
        default=limits.PROMPT_CHARS_MAX, ge=limits.PROMPT_CHARS_MIN, le=limits.PROMPT_CHARS_MAX
    )
    """What a prompt may have before tools are called: less for a model of a small context."""
    llm_turn_tokens: int = Field(default=200_000, ge=0, le=100_000_000)
    """What all rounds of a turn may take before the model is asked no more; 0: no limit."""
    llm_turn_cost: float = Field(default=0.0, ge=0.0, le=1e6)
    """The same in the currency of the prices; 0: no limit."""

    rerank_model: str = ""
    """Cross-encoder, by name, folder or its server's address; empty: nothing is reranked."""
    rerank_api_key: str = ""

    speech_to_text: Literal["none", "offline", "openai"] = "none"
    """What hears: nothing, pocketsphinx in processes of its own, or ``SPEECH_BASE_URL``."""
    text_to_speech: Literal["none", "offline", "openai"] = "none"
    """What speaks: nothing, espeak-ng in a process of its own, or ``SPEECH_BASE_URL``."""
    speech_base_url: str = ""
    """Server with OpenAI's audio routes, with ``/v1``."""
    speech_api_key: str = ""
    speech_to_text_model: str = "whisper-1"
    text_to_speech_model: str = "tts-1"
    text_to_speech_voice: str = "alloy"
    """Asked for where a client names none; of such a server."""
    speech_phrases_file: Path | None = None
    """Sentences that the offline engine expects, one a line; None: any English."""

    tools_file: Path | None = None
    """YAML or JSON file that describes the tools which answers may call; None: no tools."""

    intents_file: Path | None = None
    """YAML or JSON file of intents, their slots and corrections; None: plugins' examples alone."""
    intent_url: str = ""
    """Service that recognises intents, asked before examples are compared; empty: none is."""
    intent_api_key: str = ""
    intent_threshold: float = Field(default=0.7, gt=0.0, le=1.0)
    """Confidence of that service from which on its intent is taken."""
    intent_kept: float = Field(default=acting_limits.INTENT_KEPT, ge=0.5, le=0.99)
    """Share of the examples recognised rightly that stays recognised; less: fewer strangers are."""

    open_user: str = Field(default="", pattern=r"^[A-Za-z0-9_.@-]{0,128}$")
    """User of sessions that name none, while ``AUTH_MODE`` is ``open``; for trying plugins out."""
    plugins_dir: Path | None = None
    """Folder of plugins that the coordinator watches; None: they come by ``POST /v1/plugins``."""
    plugin_secrets_dir: Path | None = None
    """Folder of files, one a secret, that configurations of plugins name; read by every pod."""

    webhooks_file: Path | None = None
    """YAML or JSON file that says which servers are told of what; None: none is."""

    channels_file: Path | None = None
    """YAML or JSON file that describes the chat platforms which bring messages; None: none does."""

    answer_links: Literal["read", "listed", "any"] = "read"
    """Which addresses may stand in what a model wrote: those in what it read and of the hosts of
    ANSWER_LINK_HOSTS; these alone; or all."""
    answer_link_hosts: str = ""
    """Hosts, with their subdomains, whose addresses may: ``help.example.com,example.org``."""
    answer_evidence_min: float = Field(default=limits.EVIDENCE_MIN, ge=0.0, le=2.0)
    """How much must speak for a passage, or an answer without a model is "I don't know"."""
    ws_allowed_origins: str = ""
    """Origins besides our own whose pages may connect by WebSocket: ``https://a.example,…``."""
    ws_chars_per_s: int = Field(default=door_limits.SOCKET_CHARS_PER_S_DEFAULT, ge=1_000)
    """Characters a second that one WebSocket connection is sent at most."""
    source_cache_s: int = Field(default=limits.SOURCE_CACHE_S_DEFAULT, ge=0, le=365 * 86400)
    """Seconds for which browsers and caches may keep a cited source without asking; 0: none."""

    experiment_file: Path | None = None
    """YAML file of a live experiment: two configurations between which sessions are split."""
    audit_ttl_s: int | None = Field(default=None, ge=0, le=90 * 86400)
    """Seconds that the audit record of a turn is kept; None: as long as sessions; 0: none is."""
    analytics_questions: bool = True
    """Whether analytics keep the words of frequent and of unanswered questions."""

    handoff_by_words: bool = True
    """Whether a message that asks for a person hands its session to one."""

    answer_cache_ttl_s: int = Field(default=limits.HOT_ANSWERS_TTL_S_DEFAULT, ge=0, le=7 * 86400)
    """Seconds for which an answer is kept for who asks the same; 0: none is."""
    answer_cache_similar: float = Field(default=0.0, ge=0.0, le=1.0)
    """Cosine from which on a question in other small words gets its answer, too; 0: none does."""

    session_ttl_s: int = Field(
        default=limits.SESSION_TTL_S_DEFAULT, ge=int(limits.TURN_TIMEOUT_S), le=90 * 86400
    )
    session_idle_s: int = Field(default=limits.SESSION_IDLE_S_DEFAULT, ge=1, le=90 * 86400)
    archive_after_s: int | None = Field(default=None, ge=0, le=90 * 86400)
    """Seconds of rest after which a session is archived; None: half its life; 0: never."""
    archive_kept_s: int = Field(default=limits.ARCHIVE_KEPT_S_DEFAULT, ge=1, le=3650 * 86400)
    """Seconds after its last activity that an archived session is kept."""
    auth_mode: Literal["open", "keys", "oidc"] = "open"
    """Who may use the cluster: everybody, who has a key, or an issuer's token or a key."""
    admin_key: str = ""
    """A key of the role admin, for the first steps; read with ``AUTH_MODE=keys``."""
    api_keys_stale_s: float = Field(default=0.0, ge=0.0, le=limits.API_KEYS_STALE_S_MAX)
    """For how long a pod goes by the keys that it knows while the store is away; 0: not at all."""
    admin_key_file: Path | None = None
    """File of such keys, one a line; read anew when it changes."""
    session_secret_file: Path | None = None
    """File of secrets for ids of sessions, newest first; None: the session store keeps one."""

    encryption_key_file: Path | None = None
    """File of master keys, newest first; what users and models wrote is sealed. None: nothing."""
    encryption_seal: Literal["on", "off"] = "on"
    """``off``: sealed values are opened, and none is made: the first step of changing over."""
    encryption_plain: Literal["accept", "refuse"] = "accept"
    """Whether what is not sealed is read, where there are master keys: it was there before them."""
    encryption_data_key_age_s: int = Field(default=90 * 86400, ge=0, le=365 * 86400)
    """Seconds after which a tenant gets another data key, which seals from then on; 0: never."""

    audit_log: Literal["on", "off"] = "off"
    """Whether who did what is kept in the audit log."""
    audit_key_file: Path | None = None
    """File of secrets for its HMACs, newest first; None: a chain of plain hashes."""
    audit_kept_s: int = Field(default=365 * 86_400, ge=0, le=20 * 365 * 86_400)
    """Seconds that entries of the audit log are kept; 0: for ever."""

    pod_name: str = "worker-0"
    pod_address: str = "127.0.0.1:8000"
    """Host and port under which other pods reach this one."""
    leave_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of ``GET /leave``, by which a pod is told that it is about to be stopped; None: none."""
    grpc_port: int | None = Field(default=None, ge=1, le=65_535)
    """Port of gRPC; None: the pod does not speak it."""
    pod_pid_file: Path | None = None
    """Where the serving process writes its pid."""
    cluster_id: str = "local"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otel_exporter_otlp_endpoint: str = ""
    """Collector of traces (OTLP over HTTP, without ``/v1/traces``); empty: nothing is traced."""
    otel_exporter_otlp_headers: str = ""
    """Headers for it, as ``name=value,name=value``, values percent-encoded."""
    otel_service_name: str = "kotaemon"
    """By what name traces show this cluster."""
    otel_traces_sample_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the traces that begin here which are recorded."""
    native_threads: int = Field(default=2, ge=1, le=64)
    """Native threads for encoding and search beside the serving loop."""

    @property
    def turns_are_logged(self) -> bool:
        """Whether finished turns go to the bus."""
        if self.turn_log == "auto":
            return bool(self.kafka_bootstrap_servers)
        return self.turn_log == "on"

    @property
    def records_kept_s(self) -> int:
        """For how long the audit record of a turn is kept; 0: none is written."""
        return self.session_ttl_s if self.audit_ttl_s is None else self.audit_ttl_s

    @property
    def archived_after_s(self) -> int:
        """For how long a session rests until it is archived; 0: none is."""
        return self.session_ttl_s // 2 if self.archive_after_s is None else self.archive_after_s

    @model_validator(mode="after")
    def _archived_in_time(self) -> Self:
        if self.archived_after_s >= self.session_ttl_s:
            raise ValueError("ARCHIVE_AFTER_S must be less than SESSION_TTL_S: else it is too late")
        if self.archive_kept_s < self.session_ttl_s:
            raise ValueError("ARCHIVE_KEPT_S must not be less than SESSION_TTL_S")
        return self

    @property
    def pod_host(self) -> str:
        """The host of ``pod_address``, without brackets."""
        return self.pod_address.rpartition(":")[0].strip("[]")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.pod_host in ("", "*", "0.0.0.0", "::"):
            raise ValueError(
                f"POD_ADDRESS is {self.pod_address}, which names no pod: others could not reach"
                " this one there. Give the pod's own address, in Kubernetes $(POD_IP):8000 with"
                " POD_IP from status.podIP"
            )
        return self

    @model_validator(mode="after")
    def _one_bus(self) -> Self:
        if self.kafka_bootstrap_servers and self.rabbitmq_url:
            raise ValueError(
                "KAFKA_BOOTSTRAP_SERVERS and RABBITMQ_URL are both set; one bus carries the events:"
                " set one of them"
            )
        return self

    @property
    def otel_headers(self) -> Mapping[str, str]:
        """The headers for the collector. Raises ``ValueError``."""
        found: dict[str, str] = {}
        for part in filter(None, map(str.strip, self.otel_exporter_otlp_headers.split(","))):
            name, equals, value = part.partition("=")
            text = unquote(value.strip())
            if not (equals and _HEADER_NAME.fullmatch(name.strip()) and text.isprintable()):
                # Never the text itself: it holds a secret.
                raise ValueError("OTEL_EXPORTER_OTLP_HEADERS must look like name=value,name=value")
            found[name.strip().lower()] = text
        return found

    @model_validator(mode="after")
    def _collector(self) -> Self:
        endpoint = self.otel_exporter_otlp_endpoint
        address = urlsplit(endpoint)
        if endpoint and not (address.scheme in {"http", "https"} and address.hostname):
            raise ValueError("OTEL_EXPORTER_OTLP_ENDPOINT must look like http://host:port")
        _ = self.otel_headers
        return self


def environment_value(name: str) -> str | None:
    """Return a variable that a file names instead of holding its secret; None: it is not set."""
    return os.environ.get(name)
