"""Who may do what in Kafka, where the brokers ask: the rights of each part of the product.

Whoever may write ``knowledge_updated`` makes every pod look for another generation; only who builds
knowledge may. What is not allowed here is denied by an authorizer that knows these rights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError

from kotaemon_node.adapters.kafka.task_group import GROUP
from kotaemon_node.adapters.kafka.topics import TOPICS
from kotaemon_node.domain.events import (
    BUILD_DONE,
    BUILD_TASK,
    CONFIG_UPDATED,
    KNOWLEDGE_UPDATED,
    SESSION_UPDATED,
    TURN_LOG,
)

Role = Literal["worker", "coordinator", "turn-log"]

_TURN_LOG_GROUPS: Final = "kotaemon.turn_log."


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics that a part writes and reads, those that it may make, and its consumer groups."""

    writes: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    """Where a topic is missing; whoever may make one may not therefore write to it."""
    groups: tuple[str, ...] = ()
    group_prefixes: tuple[str, ...] = ()


RIGHTS: Final[dict[Role, Rights]] = {
    "worker": Rights(
        writes=(SESSION_UPDATED, CONFIG_UPDATED, TURN_LOG),
        reads=(KNOWLEDGE_UPDATED, SESSION_UPDATED, CONFIG_UPDATED),
        makes=tuple(TOPICS),
    ),
    # Build workers are known as the coordinator: they do a part of its work.
    "coordinator": Rights(
        writes=(KNOWLEDGE_UPDATED, CONFIG_UPDATED, SESSION_UPDATED, BUILD_TASK, BUILD_DONE),
        reads=(KNOWLEDGE_UPDATED, CONFIG_UPDATED, SESSION_UPDATED, BUILD_TASK, BUILD_DONE),
        makes=(*TOPICS, BUILD_TASK, BUILD_DONE),
        groups=(GROUP,),
    ),
    "turn-log": Rights(
        writes=(),
        reads=(TURN_LOG,),
        makes=(TURN_LOG,),
        group_prefixes=(_TURN_LOG_GROUPS,),
    ),
}


def grant(admin: KafkaAdminClient, role: Role, user: str) -> int:
    """Give ``user`` the rights of a part; returns how many rules there are. May be repeated.

    Raises one of ``FAILURES``, ``ClusterAuthorizationFailedError`` among them: only who may alter
    the cluster grants rights.
    """
    rules = list(_rules(role, f"User:{user}"))
    for refused in admin.create_acls(rules)["failed"]:
        raise refused(f"{role} as User:{user}")
    return len(rules)


def make_users(admin: KafkaAdminClient, passwords: Mapping[str, str]) -> None:
    """Give each user its password for SCRAM-SHA-512; makes those that are missing.

    May be repeated: connections that are open stay. Raises one of ``FAILURES``.
    """
    asked = [
        UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
        for user, password in passwords.items()
    ]
    told = admin.alter_user_scram_credentials(asked)
    refused = [f"{user}: {reason}" for user, reason in told.items() if reason is not None]
    if refused:
        raise KafkaError("; ".join(refused))


def _rules(role: Role, principal: str) -> Iterator[ACL]:
    rights = RIGHTS[role]
    topics = {
        ACLOperation.WRITE: rights.writes,
        ACLOperation.READ: rights.reads,
        ACLOperation.CREATE: rights.makes,
        # Looked at before they are made; names and sizes are no secret among parts.
        ACLOperation.DESCRIBE: tuple({*rights.writes, *rights.reads, *rights.makes}),
    }
    for operation, names in topics.items():
        for name in sorted(names):
            yield _allowed(principal, operation, ResourcePattern(ResourceType.TOPIC, name))
    for name in rights.groups:
        yield _allowed(principal, ACLOperation.READ, ResourcePattern(ResourceType.GROUP, name))
    for prefix in rights.group_prefixes:
        pattern = ResourcePattern(ResourceType.GROUP, prefix, ACLResourcePatternType.PREFIXED)
        yield _allowed(principal, ACLOperation.READ, pattern)


def _allowed(principal: str, operation: ACLOperation, pattern: ResourcePattern) -> ACL:
    return ACL(
        principal=principal,
        host="*",
        operation=operation,
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=pattern,
    )
