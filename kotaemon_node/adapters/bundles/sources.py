"""Whether the modules of a plugin are Python, before any pod tries."""

from collections.abc import Mapping

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Invalid, TooLarge


def check_source(files: Mapping[str, bytes]) -> None:
    """Raise ``Invalid`` where a module (path → content) is no Python, with file and line.

    Raises ``TooLarge`` before any is compiled: nothing else runs in a process meanwhile.
    """
    for path, content in files.items():
        if path.endswith(".py") and len(content) > limits.PLUGIN_MODULE_BYTES_MAX:
            most = limits.PLUGIN_MODULE_BYTES_MAX
            raise TooLarge(f"{path} has more than {most} bytes: tables go into a data file")
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        try:
            compile(content, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise Invalid(f"{path}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise Invalid(f"{path} is no Python: {error}") from None
