"""The topics: how they are made where they do not exist, and how to notice that one changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from kafka import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from kotaemon_node.domain.events import (
    BUILD_DONE,
    BUILD_TASK,
    CONFIG_UPDATED,
    KNOWLEDGE_UPDATED,
    SESSION_UPDATED,
    TURN_LOG,
)

_log = structlog.get_logger(__name__)

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Made:
    """How a topic is created; replicas are the broker's own default."""

    partitions: int
    config: Mapping[str, str]


# Only the newest event of a knowledge base matters, and it is kept: whoever looks with Kafka's own
# tools sees what was published last. A closed segment a day lets the broker compact the rest away.
_NEWEST = Made(1, {"cleanup.policy": "compact", "segment.ms": str(_DAY_MS)})
# Hints about sessions are of no use once every pod has seen them.
_HINTS = Made(4, {"cleanup.policy": "delete", "retention.ms": str(_HOUR_MS)})
# Other programs read them when they have time: a week of being away is made up for.
_RECORDS = Made(4, {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)})

TOPICS: Final[Mapping[str, Made]] = {
    KNOWLEDGE_UPDATED: _NEWEST,
    CONFIG_UPDATED: _NEWEST,
    SESSION_UPDATED: _HINTS,
    TURN_LOG: _RECORDS,
}

# Only made where documents are built. Twelve partitions: so many build workers have work at once.
BUILD_TOPICS: Final[Mapping[str, Made]] = {
    BUILD_TASK: Made(12, {"cleanup.policy": "delete", "retention.ms": str(6 * _HOUR_MS)}),
    BUILD_DONE: Made(1, {"cleanup.policy": "delete", "retention.ms": str(_HOUR_MS)}),
}

Shape = Mapping[str, tuple[str, int]]
"""Topic → its id, which changes when it is deleted and made again, and its partitions."""


def ensure(admin: KafkaAdminClient, names: Iterable[str], *, alone: bool = False) -> None:
    """Make the topics that do not exist. A broker that forbids it has been told by its people.

    ``alone``: those of all pods are not looked at, for who has no right to. Raises one of
    ``FAILURES`` where the broker does not answer.
    """
    wanted = {*names} if alone else {*names, *TOPICS}
    missing = wanted.difference(_described(admin, wanted))
    if not missing:
        return
    made = {name: {**TOPICS, **BUILD_TOPICS}.get(name, _HINTS) for name in missing}
    try:
        admin.create_topics(
            {
                name: {"num_partitions": spec.partitions, "configs": dict(spec.config)}
                for name, spec in made.items()
            },
            wait_for_metadata=True,
        )
    except TopicAlreadyExistsError:
        pass  # another pod was quicker
    except KafkaTimeoutError:
        raise
    except BrokerResponseError as error:
        # Forbidden, a policy, too few brokers: the topics may come later by somebody else's hand.
        _log.warning("topics_not_made", topics=sorted(missing), error=str(error))
    else:
        _log.info("topics_made", topics=sorted(missing))


def shape(admin: KafkaAdminClient, names: Iterable[str]) -> Shape:
    """Return ids and sizes of topics. Raises one of ``FAILURES``, also where a topic is missing."""
    wanted = set(names)
    found = _described(admin, wanted)
    if missing := wanted.difference(found):
        raise UnknownTopicOrPartitionError(", ".join(sorted(missing)))
    return {
        name: (str(topic.get("topic_id")), len(topic["partitions"]))
        for name, topic in found.items()
    }


def _described(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, Any]:
    """Return the topics that exist, by name."""
    found = {}
    for topic in admin.describe_topics(sorted(names)):
        error = for_code(topic["error_code"])
        if topic["error_code"] == 0:
            found[topic["name"]] = topic
        elif issubclass(error, AuthorizationError):
            raise error(topic["name"])
    return found
