"""A good client of one turn, which notes all that happens to it: for tests and load runs.

``TurnReader`` follows, ``Reading`` is what it saw.
"""

from load.reader.reading import Arrival, Reading, Try
from load.reader.turn import TurnReader

__all__ = ["Arrival", "Reading", "Try", "TurnReader"]
