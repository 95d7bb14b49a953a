"""What the settings of seals compose."""

from pathlib import Path

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.sealing import OpensOnly, SealingCipher
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.composition.sealing import cipher_of
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from kotaemon_node.settings import Settings
from tests.sealing_parts import MASTER


def composed(**settings: str | Path) -> FieldCipher:
    store = connect("redis://127.0.0.1:1/0")  # never asked
    return cipher_of(Settings(**settings), store=store, artifacts=None, clock=SystemClock())  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "master.keys"
    path.write_text(f"{MASTER}\n")
    return path


def test_without_a_file_nothing_is_sealed_and_with_one_it_is(keys: Path) -> None:
    assert isinstance(composed(), NoCipher)
    assert isinstance(composed(encryption_key_file=keys), SealingCipher)


def test_a_cluster_that_changes_over_opens_and_seals_nothing(keys: Path) -> None:
    assert isinstance(composed(encryption_key_file=keys, encryption_seal="off"), OpensOnly)


def test_what_is_not_sealed_cannot_be_refused_by_who_seals_nothing(keys: Path) -> None:
    with pytest.raises(SystemExit, match="ENCRYPTION_SEAL=off"):
        composed(encryption_key_file=keys, encryption_seal="off", encryption_plain="refuse")
