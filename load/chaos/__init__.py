"""Disturbs a whole cluster while clients talk to it, and judges what they saw.

``python -m load.chaos`` or ``make chaos``. ``scene`` sets up, ``clients`` talk and note facts,
``faults`` disturb, ``kotaemon_node.proof`` judges, ``report`` tells.
"""
