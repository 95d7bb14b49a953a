"""What ``up`` and its companions tell a person: one clear sentence, never a traceback."""


class LocalError(Exception):
    """A command cannot do what was asked; the message says why and what to do about it."""


class StartFailed(LocalError):
    """A process of the cluster did not come up.

    ``process`` names it; ``log_lines`` are the last lines it wrote.
    """

    def __init__(self, message: str, *, process: str, log_lines: list[str]) -> None:
        super().__init__(message)
        self.process = process
        self.log_lines = log_lines
