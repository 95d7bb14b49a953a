"""The failover proof: ``kotaemon_node.chaos`` on a cluster of its own, with what surrounds it.

``python -m load.chaos`` or ``make chaos``. ``scene`` sets up a model, tools, documents that change
and a store of the kind that is asked for; ``faults`` adds those that need them.
"""
