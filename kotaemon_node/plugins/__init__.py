"""What a plugin is made of: ``from kotaemon_node.plugins import BasePlugin, IntentHook``.

Laws of this package:
1. Importing it costs nothing: the standard library only, so that a plugin's process starts fast.
2. Nothing of it is trusted by the pod: it runs in the process of the plugin (``child``).
"""

from kotaemon_node.plugins.contract import BasePlugin, IntentHook, Proposal, SharedStorage

__all__ = ["BasePlugin", "IntentHook", "Proposal", "SharedStorage"]
