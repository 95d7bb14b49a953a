"""Webhooks and channels: the files that describe them, and the requests that tell them."""

from kotaemon_node.adapters.webhooks.channel_file import DescribedChannel, read_channels
from kotaemon_node.adapters.webhooks.described import DescribedWebhook, read_webhooks
from kotaemon_node.adapters.webhooks.sending import HttpSender

__all__ = [
    "DescribedChannel",
    "DescribedWebhook",
    "HttpSender",
    "read_channels",
    "read_webhooks",
]
