"""The wheel, built from this tree, and an environment that has it and nothing of the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path, *, source: Path = ROOT) -> Path:
    """Build the wheel of a source tree into ``folder`` and return its path."""
    # As hatchling's command does: its own Python is that of the tests.
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment with the wheel and return its ``bin``.

    Its dependencies are those of the tests' environment, which saves fetching 400 MB: their folder
    is searched behind its own, and the ``.pth`` files in it, which lead to the checkout, are not.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel],
        check=True,
        capture_output=True,
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def surroundings() -> dict[str, str]:
    """Return this process's environment, without what leads to the checkout."""
    ours = {"PYTHONPATH", "VIRTUAL_ENV", "MODEL_DIR", "XDG_CACHE_HOME"}
    return {name: text for name, text in os.environ.items() if name not in ours}
