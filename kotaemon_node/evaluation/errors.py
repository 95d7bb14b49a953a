"""What is wrong with an experiment, as a sentence for whoever wrote it."""

from kotaemon_node.local.errors import LocalError


class ExperimentError(LocalError):
    """An experiment or its data cannot be used as asked; names file, line and field."""
