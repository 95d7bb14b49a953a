"""Reading the YAML of experiments, with complaints for whoever wrote it."""

from kotaemon_node.adapters.experiments.lined import FileProblem, Lined
from kotaemon_node.adapters.experiments.lined import read_lined as _read_lined
from kotaemon_node.evaluation.errors import ExperimentError

__all__ = ["Lined", "read_lined"]


def read_lined(text: str, *, name: str) -> Lined:
    """Read a YAML mapping. Raises ``ExperimentError``, also for a key that is there twice."""
    try:
        return _read_lined(text, name=name)
    except FileProblem as error:
        raise ExperimentError(str(error)) from error
