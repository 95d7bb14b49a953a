"""Composes channels: chat platforms that bring messages and are told what is said to them."""

from dataclasses import dataclass

from kotaemon_node.adapters.redis import RedisStore
from kotaemon_node.adapters.system.secret_file import FixedLines, SecretLines
from kotaemon_node.adapters.webhooks import DescribedChannel, HttpSender, read_channels
from kotaemon_node.api.channel_forms import ChannelDesk
from kotaemon_node.domain.webhooks import problem_of_secret
from kotaemon_node.engine.channels import ChannelDelivery, ChannelReplies
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.ports.credentials import Lines
from kotaemon_node.ports.later import CHANNEL_REPLY, Later
from kotaemon_node.ports.sessions import SessionStore
from kotaemon_node.settings import Settings, environment_value


@dataclass(frozen=True, slots=True)
class Channels:
    """Both directions: ``desk`` lets messages in, ``replies`` is told of finished turns."""

    desk: ChannelDesk
    replies: ChannelReplies


def channels_of(
    settings: Settings,
    *,
    store: RedisStore,
    sessions: SessionStore,
    later: Later,
    worker: LaterWorker,
) -> Channels:
    """Return them, and have replies sent by ``worker``.

    Raises ``ValueError`` for a wrong CHANNELS_FILE.
    """
    described = _described(settings)
    channels = [one.channel for one in described]
    secrets = {one.channel.name: _lines(one) for one in described}
    delivery = ChannelDelivery(channels, secrets=secrets, sessions=sessions, sender=HttpSender())
    # Also where there is none any more: what waits for one is then seen as a dead letter.
    worker.add(CHANNEL_REPLY, delivery)
    return Channels(
        desk=ChannelDesk({one.name: one for one in channels}, secrets, now_s=lambda: _now_s(store)),
        replies=ChannelReplies(channels, sessions=sessions, later=later),
    )


def _described(settings: Settings) -> tuple[DescribedChannel, ...]:
    if settings.channels_file is None:
        return ()
    return read_channels(settings.channels_file, environment=environment_value)


def _lines(one: DescribedChannel) -> Lines:
    if one.secret_file is None:
        return FixedLines(one.secrets)
    return SecretLines(one.secret_file, check=problem_of_secret)


def _now_s(store: RedisStore) -> float:
    [(seconds, micros)] = store.pipelined(lambda pipe: pipe.time())
    return int(seconds) + int(micros) / 1e6
