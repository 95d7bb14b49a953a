"""Judges what clients saw of a cluster while it was disturbed.

``facts`` is the log that clients write, ``check`` tells where it breaks a promise. The log holds
no word of this product beyond sessions, turns and frames, so any client can write one.
"""

from kotaemon_node.proof.check import RULES, check
from kotaemon_node.proof.facts import Fact, as_line, from_line
from kotaemon_node.proof.violation import Violation

__all__ = ["RULES", "Fact", "Violation", "as_line", "check", "from_line"]
