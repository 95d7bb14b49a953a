"""What a session still knows of the turns that are not read whole any more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """A text that stands for the first turns of a session.

    ``to`` is the version of the last turn that it tells of: later ones are read whole.
    """

    text: str
    to: int
