"""Writes docs/images/imports.svg: ``python -m scripts.imports``."""

from pathlib import Path
from typing import Final

from scripts.imports.drawing import picture
from scripts.imports.packages import imports_of, modules

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "imports.svg"

if __name__ == "__main__":
    PICTURE.write_text(picture(imports_of(modules())), encoding="utf-8")
