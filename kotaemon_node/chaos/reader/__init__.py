"""A good client of one turn, which notes all that happens to it: for tests and load runs.

``TurnReader`` follows, ``Reading`` is what it saw.
"""

from kotaemon_node.chaos.reader.reading import Arrival, Reading, Try, first_text_s
from kotaemon_node.chaos.reader.turn import TurnReader

__all__ = ["Arrival", "Reading", "Try", "TurnReader", "first_text_s"]
