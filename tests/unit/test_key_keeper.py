"""Who looks after data keys: copies, rotation, another master key, and the end of a tenant."""

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.data_keys import DataKeyCare
from kotaemon_node.adapters.sealing import CopiesInArtifacts, KeyKeeper, MasterKeyLines
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.errors import MasterKeyMissing, Overloaded, Sealed
from kotaemon_node.domain.sealing_limits import DATA_KEYS_KNOWN_S, DATA_KEYS_MAX
from kotaemon_node.ports.cipher import SealedPlace
from tests.fakes.acts import Acts
from tests.sealing_parts import MASTER, OTHER_MASTER, ClusterOfKeys

PLACE = SealedPlace("t", "turn", session="s", turn="1")
DAY_S = 86_400.0


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterOfKeys:
    return ClusterOfKeys(copies=CopiesInArtifacts(FileArtifactStore(tmp_path / "artifacts")))


@pytest.fixture
def backup(tmp_path: Path) -> CopiesInArtifacts:
    return CopiesInArtifacts(FileArtifactStore(tmp_path / "backup"))


def keeper(cluster: ClusterOfKeys, *masters: str) -> KeyKeeper:
    assert cluster.copies is not None
    known = MasterKeyLines(FixedLines(masters or (MASTER,)))
    return KeyKeeper(cluster.keys, cluster.copies, known, clock=cluster.clock)


def test_what_has_sealed_anything_has_a_copy_behind_the_mirror(cluster: ClusterOfKeys) -> None:
    cipher, keeps = cluster.cipher(), keeper(cluster)
    sealed = cipher.seal(b"said", PLACE)

    assert keeps.mirror() == 1
    cluster.keys.tables.clear()

    assert cluster.cipher().open(sealed, PLACE) == b"said"


def test_the_mirror_reads_copies_only_where_something_changed(cluster: ClusterOfKeys) -> None:
    cluster.cipher().seal(b"said", PLACE)
    keeps = keeper(cluster)
    assert [keeps.mirror(), keeps.mirror(), keeps.mirror()] == [1, 0, 0]

    keeps.rotate("t")
    assert keeps.mirror() == 0  # rotating has copied it
    # Now and then all is compared, as a copy may have been lost.
    cluster.clock.sleep(3601)
    assert keeps.mirror() == 1


def test_a_rotated_key_seals_and_those_before_open(cluster: ClusterOfKeys) -> None:
    cipher, keeps = cluster.cipher(), keeper(cluster)
    before = [cipher.seal(b"said", PLACE)]
    for _ in range(3):
        made = keeps.rotate("t")
        cluster.clock.sleep(DATA_KEYS_KNOWN_S)
        before.append(cipher.seal(b"said", PLACE))
        assert before[-1][2:10].hex() == made.id

    assert {cipher.open(sealed, PLACE) for sealed in before} == {b"said"}
    assert len({sealed[2:10] for sealed in before}) == 4


def test_keys_are_not_made_without_end(cluster: ClusterOfKeys) -> None:
    cluster.cipher().seal(b"said", PLACE)
    keeps = keeper(cluster)
    for _ in range(DATA_KEYS_MAX - 1):
        keeps.rotate("t")

    with pytest.raises(Overloaded, match="destroy"):
        keeps.rotate("t")


def test_old_keys_are_rotated_by_the_coordinator_that_leads(cluster: ClusterOfKeys) -> None:
    cluster.cipher().seal(b"said", PLACE)
    told: list[str] = []
    acts = Acts()
    care = DataKeyCare(
        keeper(cluster), age_s=DAY_S, leads=lambda: True, told=told.append, acts=acts
    )

    care.look(keeper(cluster))
    assert (told, len(cluster.keys.read("t").rows)) == ([], 1)
    cluster.clock.sleep(DAY_S)
    care.look(keeper(cluster))
    care.look(keeper(cluster))

    assert (told, len(cluster.keys.read("t").rows)) == (["t"], 2)
    newest = cluster.keys.read("t").newest
    assert [(one.action, one.tenant, one.target) for one in acts.events] == [
        ("encryption.rotating", "t", ""),
        ("encryption.rotated", "t", newest),
    ]


def test_one_tenant_whose_copies_fail_holds_up_no_other(tmp_path: Path) -> None:
    class OneFails(CopiesInArtifacts):
        def read(self, tenant: str) -> DataKeyTable:
            if tenant == "t":
                raise OSError(5, "a damaged folder")
            return super().read(tenant)

    cluster = ClusterOfKeys()
    for tenant in ("t", "u"):
        cluster.cipher().seal(b"said", replace(PLACE, tenant=tenant))
    cluster.copies = OneFails(FileArtifactStore(tmp_path))
    told: list[str] = []
    care = DataKeyCare(keeper(cluster), age_s=DAY_S, leads=lambda: True, told=told.append)

    care.look(keeper(cluster))
    assert cluster.copies.read("u").rows
    cluster.clock.sleep(DAY_S)
    care.look(keeper(cluster))
    assert told == ["u"]


def test_the_age_of_keys_is_looked_at_rarely(cluster: ClusterOfKeys) -> None:
    cluster.cipher().seal(b"said", PLACE)
    keeps = keeper(cluster)
    care = DataKeyCare(keeps, age_s=DAY_S, leads=lambda: True, told=lambda _: None)
    care.look(keeps)
    reads = cluster.keys.reads

    care.look(keeps)
    assert cluster.keys.reads == reads + 1  # of the mirror


def test_another_master_key_wraps_all_and_opens_what_was_sealed(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    keeper(cluster).rotate("t")
    keeper(cluster).copy_to(backup, "t")

    done = keeper(cluster, OTHER_MASTER, MASTER).rewrap([backup])
    assert (done.done, done.there, done.failed) == (2, 0, {})
    assert keeper(cluster, OTHER_MASTER, MASTER).rewrap().there == 2

    # The old master key may go, from here, from the copies and from the backup.
    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"
    cluster.keys.tables.clear()
    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"
    with pytest.raises(MasterKeyMissing):
        cluster.cipher(MASTER).open(sealed, PLACE)
    assert {row.master for row in backup.read("t").rows.values()} == {
        row.master for row in cluster.keys.read("t").rows.values()
    }


def test_a_store_that_was_set_back_gets_the_newer_wrapping(cluster: ClusterOfKeys) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    before = dict(cluster.keys.tables)
    keeper(cluster, OTHER_MASTER, MASTER).rewrap()
    cluster.keys.tables.update(before)

    keeper(cluster, OTHER_MASTER).mirror()

    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"


def test_what_cannot_be_rewrapped_is_named_and_stays(cluster: ClusterOfKeys) -> None:
    cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()

    done = keeper(cluster, OTHER_MASTER).rewrap()

    assert list(done.failed) == [f"t/{row.id}"]
    assert cluster.keys.read("t").rows == {row.id: row}


def test_a_tenant_that_was_shredded_is_read_nowhere_any_more(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts
) -> None:
    keeps, cipher = keeper(cluster), cluster.cipher()
    sealed = cipher.seal(b"said", PLACE)
    other = cipher.seal(b"theirs", replace(PLACE, tenant="u"))
    keeps.rotate("t")
    set_back = dict(cluster.keys.tables)
    for tenant in ("t", "u"):
        keeps.copy_to(backup, tenant)

    ids = list(keeps.tables()["t"].rows)
    keeps.destroy("t", ids)
    backup.destroy("t", ids)
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)
    with pytest.raises(Sealed, match="destroyed"):
        cipher.open(sealed, PLACE)

    # Nor by what brings keys back: a store that was set back, the backup, a process that lagged.
    cluster.keys.tables.update(set_back)
    keeper(cluster).mirror()
    keeper(cluster).take_from(backup, "t")
    with pytest.raises(Sealed, match="destroyed"):
        cluster.cipher().open(sealed, PLACE)
    assert backup.read("t").rows == {}
    assert cipher.open(other, replace(PLACE, tenant="u")) == b"theirs"


def test_a_store_that_is_set_back_behind_the_shredding_does_not_undo_it(
    cluster: ClusterOfKeys,
) -> None:
    keeps = keeper(cluster)
    sealed = cluster.cipher().seal(b"said", PLACE)
    keeps.mirror()
    set_back = dict(cluster.keys.tables)

    keeps.destroy("t", list(keeps.tables()["t"].rows))
    cluster.keys.tables.update(set_back)
    keeper(cluster).mirror()

    with pytest.raises(Sealed, match="destroyed"):
        cluster.cipher().open(sealed, PLACE)


def test_an_empty_cluster_takes_its_keys_from_a_backup(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts, tmp_path: Path
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    keeper(cluster).copy_to(backup, "t")
    empty = ClusterOfKeys(copies=CopiesInArtifacts(FileArtifactStore(tmp_path / "other")))

    assert [keeper(empty).take_from(backup, "t").count for _ in range(2)] == [1, 0]

    assert empty.cipher().open(sealed, PLACE) == b"said"
    assert empty.copies is not None
    assert empty.copies.read("t").rows


def test_what_a_backup_says_of_destroyed_keys_destroys_none_that_lives(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    ids = list(cluster.keys.read("t").rows)
    backup.destroy("t", [*ids, "ab" * 8])

    assert keeper(cluster).take_from(backup, "t").spared == ids

    assert cluster.cipher().open(sealed, PLACE) == b"said"
    assert cluster.keys.read("t").destroyed == {"ab" * 8}


def test_a_backup_has_and_gives_keys_of_its_tenant_alone(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts, tmp_path: Path
) -> None:
    for tenant in ("t", "u"):
        cluster.cipher().seal(b"said", replace(PLACE, tenant=tenant))
    keeper(cluster).copy_to(backup, "t")
    assert (list(backup.tenants()), backup.read("u").rows) == (["t"], {})

    keeper(cluster).copy_to(backup, "u")
    empty = ClusterOfKeys(copies=CopiesInArtifacts(FileArtifactStore(tmp_path / "other")))
    keeper(empty).take_from(backup, "t")
    assert empty.keys.tenants() == ["t"]


@pytest.mark.parametrize("known", [(), (OTHER_MASTER,)])
def test_whoever_restores_brings_no_retired_master_key_back(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts, known: tuple[str, ...]
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    keeper(cluster).copy_to(backup, "t")
    set_back = dict(cluster.keys.tables)
    keeper(cluster, OTHER_MASTER, MASTER).rewrap([backup])
    cluster.keys.tables.update(set_back)

    assert cluster.copies is not None
    masters = MasterKeyLines(FixedLines(known))
    restores = KeyKeeper(cluster.keys, cluster.copies, masters, clock=cluster.clock)
    restores.copy_to(backup, "t")
    restores.take_from(backup, "t")
    restores.copy_to(backup, "t")

    for table in (cluster.keys.read("t"), cluster.copies.read("t"), backup.read("t")):
        [row] = table.rows.values()
        assert (row.wraps, row.master) == (1, *MasterKeyLines(FixedLines((OTHER_MASTER,))).ids())
    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"


def test_a_row_of_a_backup_takes_the_place_of_another_only_where_it_opens(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()
    backup.keep(replace(row, wraps=9, wrapped="AAAA"))
    keeper(cluster).take_from(backup, "t")
    assert cluster.cipher().open(sealed, PLACE) == b"said"

    # Redis and the artifact store are set back to before the rewrap: the backup is not.
    again = MasterKeyLines(FixedLines((OTHER_MASTER,))).wrap(
        MasterKeyLines(FixedLines((MASTER,))).unwrap(row), replace(row, wraps=10)
    )
    backup.keep(again)
    keeper(cluster, OTHER_MASTER).take_from(backup, "t")
    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"


def test_a_key_that_a_backup_has_alone_is_wrapped_anew_there(
    cluster: ClusterOfKeys, backup: CopiesInArtifacts
) -> None:
    sealed = cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()
    backup.keep(row)
    cluster.keys.tables.clear()

    assert keeper(cluster, OTHER_MASTER, MASTER).rewrap([backup]).done == 1

    keeper(cluster).take_from(backup, "t")
    assert cluster.cipher(OTHER_MASTER).open(sealed, PLACE) == b"said"


def test_a_key_is_made_behind_those_that_the_store_lost(cluster: ClusterOfKeys) -> None:
    digest = cluster.cipher().digest(b"asked", "t")
    keeper(cluster).mirror()
    cluster.keys.tables.clear()

    keeper(cluster).rotate("t")

    assert len(cluster.keys.read("t").rows) == 2
    assert cluster.cipher().digest(b"asked", "t") == digest


def test_a_new_key_takes_the_digests_of_any_that_opens(cluster: ClusterOfKeys) -> None:
    digest = cluster.cipher().digest(b"asked", "t")
    keeper(cluster, OTHER_MASTER, MASTER).rotate("t")  # the newest is under another master key

    made = keeper(cluster).rotate("t")

    cluster.keys.destroy("t", [key for key in cluster.keys.read("t").rows if key != made.id])
    assert cluster.cipher().digest(b"asked", "t") == digest


class DestroyedMeanwhile(FileArtifactStore):
    """Somebody destroys the key between the look at it and the write."""

    def put_if_absent(self, name: str, content: bytes) -> bool:
        if "/keys/" in name:
            key_id = name.rpartition("/")[2].partition(".")[0]
            CopiesInArtifacts(FileArtifactStore(self._root)).destroy("t", [key_id])
        return super().put_if_absent(name, content)


def test_a_copy_that_is_made_while_its_key_is_destroyed_does_not_stay(
    cluster: ClusterOfKeys, tmp_path: Path
) -> None:
    cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()
    store = DestroyedMeanwhile(tmp_path / "artifacts")

    CopiesInArtifacts(store).keep(row)

    assert not list(store.list("tenants/t/sealing/keys/"))


def test_what_is_left_of_a_destroyed_key_is_removed(cluster: ClusterOfKeys, tmp_path: Path) -> None:
    cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()
    store = FileArtifactStore(tmp_path / "artifacts")
    keeper(cluster).mirror()
    [name] = store.list("tenants/t/sealing/keys/")
    keeper(cluster).destroy("t", [row.id])
    store.put_if_absent(name, row.to_json())

    keeper(cluster).mirror()

    assert not list(store.list("tenants/t/sealing/keys/"))
