"""Whether the modules of a plugin are Python, before any pod tries."""

from collections.abc import Mapping

from kotaemon_node.domain.errors import Invalid


def check_source(files: Mapping[str, bytes]) -> None:
    """Raise ``Invalid`` where a module (path → content) is no Python, with file and line."""
    for path, content in files.items():
        if not path.endswith(".py"):
            continue
        try:
            compile(content, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise Invalid(f"{path}, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise Invalid(f"{path} is no Python: {error}") from None
