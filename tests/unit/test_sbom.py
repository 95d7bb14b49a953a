"""All that is shipped is pinned by checksum, and stands in the bill of materials."""

import re
from pathlib import Path

import pytest

from kotaemon_node.adapters.encoder.catalogue import MODELS
from scripts.sbom import vendored, whole

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "kotaemon_node/web/assets/vendor"


@pytest.mark.parametrize("lock", ["run", "test", "image", "installer", "audit"])
def test_every_requirement_of_a_lock_has_its_version_and_a_checksum(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.lock").read_text("utf-8").replace("\\\n", " ")
    rows = [row for row in text.splitlines() if row.strip() and not row.lstrip().startswith("#")]
    assert rows
    loose = [row[:60] for row in rows
             if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", row)]  # fmt: skip
    assert loose == []


def test_the_bill_names_packages_page_files_and_weights() -> None:
    bill = whole({"bomFormat": "CycloneDX", "components": [{"name": "flask"}]})
    assert bill["bomFormat"] == "CycloneDX"
    names = [row["name"] for row in bill["components"]]
    assert names[0] == "flask"
    assert {"preact", "marked", "dompurify"} <= set(names)
    weights = [row for row in bill["components"] if row.get("type") == "machine-learning-model"]
    assert len(weights) == sum(len(model.files) for model in MODELS)
    sums = [row["hashes"][0]["content"] for row in bill["components"][1:]]
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in sums)
    refs = [row["bom-ref"] for row in bill["components"][1:]]
    assert len(set(refs)) == len(refs)


def test_every_vendored_file_is_in_the_bill() -> None:
    files = {path.name for path in VENDOR.iterdir() if path.is_file()}
    assert {row[0] for row in vendored()} == files
