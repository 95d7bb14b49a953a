"""``python -m scripts.dashboards`` writes helm/kotaemon/dashboards/*.json."""

import json
from pathlib import Path
from typing import Final

from scripts.dashboards.acting import ACTING
from scripts.dashboards.closed import CLOSED
from scripts.dashboards.knowledge import KNOWLEDGE
from scripts.dashboards.model import Dashboard, as_json
from scripts.dashboards.overview import OVERVIEW
from scripts.dashboards.pods import PODS
from scripts.dashboards.sessions import SESSIONS
from scripts.dashboards.stores import STORES

FOLDER: Final = Path(__file__).resolve().parents[2] / "helm" / "kotaemon" / "dashboards"
DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    *(OVERVIEW, PODS, KNOWLEDGE, STORES, SESSIONS, ACTING, CLOSED),
)


def rendered() -> dict[str, str]:
    """Return each file's text by its name."""
    return {
        f"{board.uid}.json": json.dumps(as_json(board), indent=1, ensure_ascii=False) + "\n"
        for board in DASHBOARDS
    }


def main() -> None:
    """Write all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
