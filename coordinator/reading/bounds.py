"""What reading one document may cost, and what its owner is told when it costs more."""

from dataclasses import dataclass
from typing import Final, Literal

from kotaemon_node.domain import limits

Cause = Literal["time", "computing", "memory", "crash", "killed", "nonsense"]
"""Why a reading was given up."""

_MB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of one reading. Those of time grow with the size of the file."""

    memory_bytes: int = limits.READING_MEMORY_BYTES_MAX
    """Address space of the child."""
    computing_s: float = limits.READING_COMPUTING_S
    wall_s: float = limits.READING_WALL_S
    answer_bytes: int = limits.READING_ANSWER_BYTES_MAX
    quick_s: float = limits.READING_QUICK_S

    def computing_s_for(self, size_bytes: int) -> int:
        """Return the processor time for a file of this size, in whole seconds."""
        more_s = limits.READING_COMPUTING_PER_MB_S * size_bytes / _MB
        return round(min(self.computing_s + more_s, limits.READING_COMPUTING_S_MAX))

    def wall_s_for(self, size_bytes: int) -> float:
        """Return the time on the clock for a file of this size."""
        more_s = limits.READING_WALL_PER_MB_S * size_bytes / _MB
        return min(self.wall_s + more_s, limits.READING_WALL_S_MAX)

    def quick_s_for(self, size_bytes: int) -> float:
        """Return the time on the clock after which a file of this size lets others go first."""
        return self.quick_s + limits.READING_QUICK_PER_MB_S * size_bytes / _MB

    def reason(self, cause: Cause, size_bytes: int) -> str:
        """Return what the owner of a document is told."""
        match cause:
            case "time":
                return f"reading it took longer than {self.wall_s_for(size_bytes):.0f} s"
            case "computing":
                seconds = self.computing_s_for(size_bytes)
                return f"reading it took longer than {seconds} s of computing"
            case "memory":
                return f"reading it needs more memory than {self.memory_bytes / 1024**3:.2g} GB"
            case "crash":
                return "its parser crashed"
            case "killed":
                return (
                    "its parser was killed twice from outside, perhaps because the machine"
                    " ran out of memory"
                )
            case "nonsense":
                return "its parser gave an answer that cannot be used"
