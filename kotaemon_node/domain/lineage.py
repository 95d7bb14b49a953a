"""How a generation came to be: what its manifest's ``extra`` says besides the rules of its build.

| name             | holds                                                                         |
|------------------|-------------------------------------------------------------------------------|
| `job`            | id of the order that made it                                                  |
| `rolled_back_to` | number of the generation whose content it has                                 |
| `refused`        | document → revision of its file that is not followed; null: none there |
| `probes`         | digest of probe → recall when it passed the gate                              |
| `redacted_by`    | number of the purge's generation: what it left, and no generation itself |
"""

from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.domain.knowledge import Manifest

JOB: Final = "job"
ROLLED_BACK_TO: Final = "rolled_back_to"
REFUSED: Final = "refused"
PROBES: Final = "probes"
REDACTED_BY: Final = "redacted_by"

Refused = Mapping[str, str | None]


def job_of(manifest: Manifest) -> str | None:
    """Return the order that made a generation, None where the folder did."""
    found = manifest.extra.get(JOB)
    return found if isinstance(found, str) else None


def rolled_back_to(manifest: Manifest) -> int | None:
    """Return the number of the generation that this one repeats."""
    found = manifest.extra.get(ROLLED_BACK_TO)
    return found if isinstance(found, int) else None


def is_redacted(manifest: Manifest) -> bool:
    """Tell what a purge left of a manifest from a generation."""
    return REDACTED_BY in manifest.extra


def refused_of(manifest: Manifest | None) -> Refused:
    """Return the documents whose files are not followed, with the revision that is refused."""
    found = manifest.extra.get(REFUSED) if manifest is not None else None
    return found if isinstance(found, Mapping) else {}


def probe_recalls(manifest: Manifest) -> Mapping[str, float]:
    """Return digest of probe → recall, as it was when the generation passed the gate."""
    found = manifest.extra.get(PROBES)
    return found if isinstance(found, Mapping) else {}


def mean_recall(manifest: Manifest) -> float | None:
    """Return the recall over all probes, None where none was asked."""
    recalls = probe_recalls(manifest).values()
    return sum(recalls) / len(recalls) if recalls else None


def lineage(
    *, job: str | None = None, refused: Refused | None = None, **more: Any
) -> Mapping[str, Any]:
    """Return these as ``extra`` holds them: what is empty is left out."""
    fields = {JOB: job, REFUSED: dict(refused or {}), **more}
    return {name: value for name, value in fields.items() if value not in (None, {}, ())}
