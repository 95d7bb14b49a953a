"""Webhooks: the file that says who is told, and the requests that tell them."""

from kotaemon_node.adapters.webhooks.described import DescribedWebhook, read_webhooks
from kotaemon_node.adapters.webhooks.sending import HttpSender

__all__ = ["DescribedWebhook", "HttpSender", "read_webhooks"]
