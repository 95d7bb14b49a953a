"""What Helm prints after an install says how to come in, for each way to let people in."""

import os
import subprocess

import pytest

from tests.helm_chart import CHART, F, helm

OPEN = "whoever reaches the service may read, upload and delete everything"
KEY = f"get secret {F}-secrets -o jsonpath='{{.data.admin-key}}'"


@pytest.mark.parametrize(
    ("mode", "said", "unsaid"),
    [("keys", (KEY, "log in with that key"), OPEN), ("open", (OPEN,), KEY), ("oidc", (KEY,), OPEN)],
)
def test_the_notes_say_how_to_come_in(mode: str, said: tuple[str, ...], unsaid: str) -> None:
    done = subprocess.run(
        [
            *(helm(), "install", "shop", str(CHART), "--dry-run=client"),
            *("--set", f"auth.mode={mode},auth.oidc.existingSecret=issuers"),
        ],
        # No cluster is asked.
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    _, _, notes = done.stdout.partition("NOTES:")
    assert all(words in notes for words in said), notes
    assert unsaid not in notes, notes
