"""The keys behind seals: found by every process, rotated, lost and given back, destroyed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kotaemon_node.adapters.sealing import (
    CopiesInArtifacts,
    DataKeyRing,
    MasterKeyLines,
    problem_of_master_key,
)
from kotaemon_node.adapters.sealing.data_key import new_data_key
from kotaemon_node.adapters.sealing.masters import MasterKeyLines as Masters
from kotaemon_node.adapters.store.file_store import FileArtifactStore
from kotaemon_node.adapters.system import SecretLines
from kotaemon_node.adapters.system.secret_file import FixedLines
from kotaemon_node.domain.data_keys import DataKeyTable
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed, StoreUnavailable, Unavailable
from kotaemon_node.domain.sealing_limits import DATA_KEYS_KNOWN_S
from kotaemon_node.ports.cipher import SealedPlace
from tests.sealing_parts import MASTER, OTHER_MASTER, ClusterOfKeys, NoCopies, cluster_of_keys

PLACE = SealedPlace("t", "turn", session="s", turn="1")


def rotated(cluster: ClusterOfKeys, master: str = MASTER) -> None:
    """Make the tenant's next key, as the command line does."""
    table = cluster.keys.read("t")
    key = new_data_key(
        Masters(FixedLines((master,))),
        "t",
        table,
        now_s=cluster.clock.now_s(),
        before=cluster.ring(MASTER, OTHER_MASTER).newest("t"),
    )
    assert cluster.keys.add(key.row, newest=table.newest)


class SlowCopies(NoCopies):
    """Who reads waits for ``let``, and then they are away."""

    def __init__(self, let: threading.Event) -> None:
        self.let, self.reached, self.reads = let, threading.Event(), 0

    def read(self, tenant: str) -> DataKeyTable:
        self.reads += 1
        self.reached.set()
        assert self.let.wait(60)
        raise Unavailable(f"the copies of {tenant} are away")


UNKNOWN = b"\xf5\x01" + bytes(8) + bytes(40)


@pytest.fixture
def copied(tmp_path: Path) -> ClusterOfKeys:
    return ClusterOfKeys(copies=CopiesInArtifacts(FileArtifactStore(tmp_path)))


def test_what_one_process_sealed_any_other_opens() -> None:
    cluster = cluster_of_keys()
    one, two = cluster.cipher(), cluster.cipher()

    sealed = one.seal(b"said", PLACE)

    assert two.open(sealed, PLACE) == b"said"
    assert two.seal(b"said", PLACE)[:10] == sealed[:10]
    assert len(cluster.keys.read("t").rows) == 1


def test_tenants_have_keys_of_their_own() -> None:
    cluster = cluster_of_keys()
    cipher = cluster.cipher()
    sealed = cipher.seal(b"said", PLACE)
    cipher.seal(b"said", replace(PLACE, tenant="u"))

    with pytest.raises(Sealed):
        cipher.open(sealed, replace(PLACE, tenant="u"))
    assert len(cluster.keys.tenants()) == 2


def test_a_process_asks_the_store_rarely() -> None:
    cluster = cluster_of_keys()
    cipher = cluster.cipher()
    sealed = cipher.seal(b"said", PLACE)
    before = cluster.keys.reads

    for number in range(500):
        place = replace(PLACE, session=str(number))
        assert cipher.open(cipher.seal(b"said", place), place) == b"said"

    assert cluster.keys.reads - before <= 1
    assert cipher.open(sealed, PLACE) == b"said"


def test_after_a_rotation_the_new_key_seals_and_the_old_one_opens() -> None:
    cluster = cluster_of_keys()
    one, two = cluster.cipher(), cluster.cipher()
    old = one.seal(b"said", PLACE)
    two.open(old, PLACE)
    digest = one.digest(b"a question", "t")

    rotated(cluster)
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)
    new = one.seal(b"said", PLACE)

    assert new[2:10] != old[2:10]
    assert two.open(new, PLACE) == two.open(old, PLACE) == b"said"
    # What is compared over time does not change with it.
    assert one.digest(b"a question", "t") == two.digest(b"a question", "t") == digest


def test_a_process_that_meets_a_newer_key_looks_at_once() -> None:
    cluster = cluster_of_keys()
    one, two = cluster.cipher(), cluster.cipher()
    two.open(one.seal(b"said", PLACE), PLACE)
    rotated(cluster)

    assert two.open(cluster.cipher().seal(b"later", PLACE), PLACE) == b"later"


def test_digests_differ_by_tenant_and_need_the_key() -> None:
    cipher, other = cluster_of_keys().cipher(), cluster_of_keys().cipher()

    assert cipher.digest(b"yes", "t") != cipher.digest(b"yes", "u")
    assert cipher.digest(b"yes", "t") != other.digest(b"yes", "t")
    assert len(cipher.digest(b"yes", "t")) == 32


def test_a_destroyed_key_opens_nothing_any_more() -> None:
    cluster = cluster_of_keys()
    ring = cluster.ring()
    cipher, other = cluster.cipher(ring=ring), cluster.cipher()
    sealed = cipher.seal(b"said", PLACE)
    other.open(sealed, PLACE)

    cluster.keys.destroy("t", list(cluster.keys.read("t").rows))
    ring.look_again("t")
    with pytest.raises(Sealed, match="destroyed"):
        cipher.open(sealed, PLACE)
    assert not cipher._subkeys

    # Who was told nothing notices by itself.
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)
    with pytest.raises(Sealed, match="destroyed"):
        other.open(sealed, PLACE)
    # The tenant may go on, with a key of its own.
    assert other.open(cipher.seal(b"new", PLACE), PLACE) == b"new"


def test_while_the_store_is_away_what_is_known_goes_on() -> None:
    cluster = cluster_of_keys()
    cipher = cluster.cipher()
    sealed = cipher.seal(b"said", PLACE)
    cluster.keys.away = True
    cluster.clock.sleep(3600)

    assert cipher.open(sealed, PLACE) == b"said"
    assert cipher.open(cipher.seal(b"more", PLACE), PLACE) == b"more"
    with pytest.raises(StoreUnavailable):
        cipher.seal(b"said", SealedPlace("another", "turn"))


def test_a_key_that_the_store_lost_is_given_back_by_who_has_it() -> None:
    cluster = cluster_of_keys()
    one, two = cluster.cipher(), cluster.cipher()
    sealed = one.seal(b"said", PLACE)
    rows = cluster.keys.read("t").rows
    cluster.keys.tables.clear()

    cluster.clock.sleep(DATA_KEYS_KNOWN_S)
    assert one.open(sealed, PLACE) == b"said"

    assert cluster.keys.read("t").rows == rows
    assert two.open(sealed, PLACE) == b"said"


def test_keys_that_the_store_lost_are_found_in_the_copies(copied: ClusterOfKeys) -> None:
    one = copied.cipher()
    sealed, digest = one.seal(b"said", PLACE), one.digest(b"asked", "t")
    rows = copied.keys.read("t").rows
    for row in rows.values():
        copied.copies.keep(row)  # type: ignore[union-attr]
    copied.keys.tables.clear()

    fresh = copied.cipher()
    assert fresh.open(sealed, PLACE) == b"said"
    assert copied.keys.read("t").rows == rows

    # Also for who seals first: nothing new is made, and digests stay.
    copied.keys.tables.clear()
    assert copied.cipher().digest(b"asked", "t") == digest
    assert copied.keys.read("t").rows == rows


def test_a_store_that_was_set_back_does_not_bring_a_destroyed_key_again(
    copied: ClusterOfKeys,
) -> None:
    cipher = copied.cipher()
    sealed = cipher.seal(b"said", PLACE)
    ids = list(copied.keys.read("t").rows)
    copied.copies.destroy("t", ids)  # type: ignore[union-attr]
    copied.keys.tables.clear()  # with what it knew of the destruction

    copied.clock.sleep(DATA_KEYS_KNOWN_S)
    with pytest.raises(Sealed, match="destroyed"):
        cipher.open(sealed, PLACE)
    with pytest.raises(Sealed, match="destroyed"):
        copied.cipher().open(sealed, PLACE)
    assert copied.keys.read("t").destroyed == set(ids)


def test_nobody_who_has_the_key_waits_for_the_copies() -> None:
    cluster = cluster_of_keys()
    sealed = cluster.cipher().seal(b"said", PLACE)
    let = threading.Event()
    cluster.copies = copies = SlowCopies(let)
    cipher = cluster.cipher()
    cipher.open(sealed, PLACE)

    with ThreadPoolExecutor(8) as pool:
        lost = [pool.submit(cipher.open, UNKNOWN, PLACE) for _ in range(8)]
        assert copies.reached.wait(60)
        assert cipher.open(cipher.seal(b"more", PLACE), PLACE) == b"more"
        assert not any(future.done() for future in lost)
        let.set()
        # Nobody can tell now whether it was destroyed; one has looked for all of them.
        assert {type(future.exception()) for future in lost} == {StoreUnavailable}
    assert copies.reads == 1

    with pytest.raises(StoreUnavailable):
        cipher.open(UNKNOWN, PLACE)
    assert copies.reads == 1
    cluster.clock.sleep(10)
    with pytest.raises(StoreUnavailable):
        cipher.open(UNKNOWN, PLACE)
    assert copies.reads == 2


def test_a_key_is_given_back_while_others_seal_with_it() -> None:
    cluster = cluster_of_keys()
    let = threading.Event()
    ring = cluster.ring()
    cluster.cipher(ring=ring).seal(b"said", PLACE)
    cluster.copies = copies = SlowCopies(let)
    slow = cluster.ring()
    cipher = cluster.cipher(ring=slow)
    cipher.seal(b"said", PLACE)
    cluster.keys.tables.clear()
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cipher.seal, b"first", PLACE)
        assert copies.reached.wait(60)
        assert cipher.open(cipher.seal(b"more", PLACE), PLACE) == b"more"
        let.set()
        assert cipher.open(first.result(), PLACE) == b"first"


def test_no_first_key_is_made_while_nobody_can_tell_whether_there_was_one() -> None:
    cluster = cluster_of_keys()
    let = threading.Event()
    let.set()
    cluster.copies = SlowCopies(let)

    with pytest.raises(StoreUnavailable):
        cluster.cipher().digest(b"asked", "t")

    assert not cluster.keys.tables
    cluster.copies = NoCopies()
    assert cluster.cipher().digest(b"asked", "t")


def test_who_cannot_look_at_copies_calls_no_key_destroyed_and_begins_none() -> None:
    cluster = cluster_of_keys()
    sealed = cluster.cipher().seal(b"said", PLACE)
    rows = cluster.keys.read("t").rows
    cluster.keys.tables.clear()
    lines = MasterKeyLines(FixedLines((MASTER,)))
    ring = DataKeyRing(cluster.keys, lines, copies=None, clock=cluster.clock, begins=False)
    program = cluster.cipher(ring=ring)

    with pytest.raises(StoreUnavailable):
        program.seal(b"said", PLACE)
    with pytest.raises(StoreUnavailable):
        program.open(sealed, PLACE)
    cluster.keys.destroy("t", list(rows))
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)
    with pytest.raises(Sealed, match="destroyed"):
        program.open(sealed, PLACE)


def test_a_tenant_whose_keys_come_back_meanwhile_gets_no_other_first_key(
    copied: ClusterOfKeys,
) -> None:
    digest = copied.cipher().digest(b"asked", "t")
    rows = copied.keys.read("t").rows
    copied.keys.tables.clear()
    late = copied.cipher()
    read = copied.keys.read

    def given_back(tenant: str) -> DataKeyTable:
        table = read(tenant)
        for row in rows.values():  # by who has it open, behind the look of the other
            copied.keys.put_back(row)
        return table

    copied.keys.read = given_back  # type: ignore[method-assign]

    assert late.digest(b"asked", "t") == digest
    assert read("t").rows == rows


def test_what_is_of_no_session_crowds_no_session_out() -> None:
    cipher = cluster_of_keys().cipher()
    cipher.seal(b"said", PLACE)
    for number in range(20):
        place = SealedPlace("t", f"job result {number}")
        assert cipher.open(cipher.seal(b"done", place), place) == b"done"

    assert len(cipher._subkeys) == 2
    sealed = cipher.seal(b"done", SealedPlace("t", "job result 1"))
    with pytest.raises(Sealed, match="another place"):
        cipher.open(sealed, SealedPlace("t", "job result 2"))


def test_two_that_make_the_first_key_at_once_agree() -> None:
    cluster = cluster_of_keys()
    one, two = cluster.cipher(), cluster.cipher()
    read, cut_in = cluster.keys.read, [two]

    def interrupted(tenant: str) -> DataKeyTable:
        table = read(tenant)
        if cut_in:
            cut_in.pop().seal(b"first", PLACE)
        return table

    cluster.keys.read = interrupted  # type: ignore[method-assign]

    assert two.open(one.seal(b"second", PLACE), PLACE) == b"second"
    assert len(read("t").rows) == 1


def test_a_pod_without_the_master_key_says_so_and_another_may_serve() -> None:
    cluster = cluster_of_keys()
    sealed = cluster.cipher(MASTER).seal(b"said", PLACE)
    stranger = cluster.cipher(OTHER_MASTER)

    with pytest.raises(MasterKeyMissing, match="ENCRYPTION_KEY_FILE") as met:
        stranger.open(sealed, PLACE)
    assert met.value.retryable
    with pytest.raises(StoreUnavailable, match="master key"):
        stranger.seal(b"said", PLACE)


def test_who_knows_only_the_old_master_key_seals_with_the_key_that_it_can_open() -> None:
    cluster = cluster_of_keys()
    old = cluster.cipher(MASTER)
    old.seal(b"said", PLACE)
    rotated(cluster, OTHER_MASTER)
    cluster.clock.sleep(DATA_KEYS_KNOWN_S)

    both = cluster.cipher(OTHER_MASTER, MASTER)
    assert both.open(old.seal(b"said", PLACE), PLACE) == b"said"
    assert both.seal(b"said", PLACE)[2:10] != old.seal(b"said", PLACE)[2:10]


def test_a_row_under_another_tenant_or_id_does_not_open() -> None:
    cluster = cluster_of_keys()
    sealed = cluster.cipher().seal(b"said", PLACE)
    [row] = cluster.keys.read("t").rows.values()
    for moved in (replace(row, tenant="u"), replace(row, id="ab" * 8)):
        with pytest.raises(Sealed, match="altered"):
            Masters(FixedLines((MASTER,))).unwrap(moved)
    assert sealed


def test_the_file_of_master_keys_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "master.keys"
    path.write_text(MASTER)
    masters = MasterKeyLines(SecretLines(path, check=problem_of_master_key))
    key = new_data_key(masters, "t", DataKeyTable(), now_s=1.0)

    path.write_text(f"{OTHER_MASTER}\n{MASTER}\n")
    assert len(masters.ids()) == 2
    assert masters.ids()[1] == key.row.master
    assert masters.unwrap(key.row) == key.secret + key.digests
    assert new_data_key(masters, "t", DataKeyTable(), now_s=1.0).row.master == masters.ids()[0]

    # A file that is unusable for a moment closes nothing that was open.
    path.write_text("half a key")
    assert masters.unwrap(key.row) == key.secret + key.digests
    path.write_text(OTHER_MASTER)
    with pytest.raises(MasterKeyMissing):
        masters.unwrap(key.row)


def test_without_any_master_key_nothing_is_wrapped() -> None:
    with pytest.raises(Unavailable, match="ENCRYPTION_KEY_FILE"):
        new_data_key(Masters(FixedLines(())), "t", DataKeyTable(), now_s=1.0)


@pytest.mark.parametrize(
    "line",
    [
        MASTER,
        MASTER.upper(),
        "8PHy8/T19vf4+fr7/P3+/+Dh4uPk5ebn6Onq6+zt7u8=",
        "8PHy8_T19vf4-fr7_P3-_-Dh4uPk5ebn6Onq6-zt7u8",
    ],
)
def test_a_master_key_is_hex_or_base64(line: str) -> None:
    assert problem_of_master_key(line) == ""


@pytest.mark.parametrize(
    "line", ["", "00" * 32, "ab" * 32, MASTER[:-2], MASTER + "00", "g" * 64, "a secret", "8PHy8/"]
)
def test_what_is_no_random_key_of_32_bytes_is_refused_and_not_told(line: str) -> None:
    problem = problem_of_master_key(line)

    assert "openssl rand -hex 32" in problem
    assert not line or line not in problem
