"""Seals: what is sealed opens at its place, and nowhere else, and not once it was altered."""

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.adapters.sealing.values import (
    MAGIC,
    NONCE_BYTES,
    OVERHEAD_BYTES,
    opened_value,
    sealed_value,
    subkey,
)
from kotaemon_node.domain.errors import Sealed
from kotaemon_node.engine.sealed_text import opened_text, sealed_text
from kotaemon_node.ports.cipher import NoCipher, SealedPlace
from tests.sealing_parts import MASTER, cluster_of_keys

PLACE = SealedPlace("t", "turn", session="s", turn="1")
KEY, KEY_ID = bytes(range(32)), bytes(range(8))
PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLACES = st.builds(SealedPlace, PARTS, PARTS.filter(bool), session=PARTS, turn=PARTS)


def sealed_at(place: SealedPlace, value: bytes) -> bytes:
    return sealed_value(value, place, key_id=KEY_ID, key=subkey(KEY, place))


def opened_at(place: SealedPlace, sealed: bytes) -> bytes:
    return opened_value(sealed, place, key=subkey(KEY, place))


@given(place=PLACES, value=st.binary(max_size=300))
def test_what_is_sealed_opens_at_its_place(place: SealedPlace, value: bytes) -> None:
    sealed = sealed_at(place, value)

    assert opened_at(place, sealed) == value
    assert len(sealed) == len(value) + OVERHEAD_BYTES == len(value) + 38


@given(place=PLACES, other=PLACES)
def test_what_is_sealed_opens_nowhere_else(place: SealedPlace, other: SealedPlace) -> None:
    sealed = sealed_at(place, b"what was said")

    if place == other:
        assert opened_at(other, sealed) == b"what was said"
        return
    with pytest.raises(Sealed):
        opened_at(other, sealed)


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (SealedPlace("ab", "c"), SealedPlace("a", "bc")),
        (SealedPlace("t", "f", session="ab"), SealedPlace("t", "f", session="a", turn="b")),
        (SealedPlace("t", "s", session="f"), SealedPlace("t", "f", session="s")),
        (SealedPlace("t", "f"), SealedPlace("t", "f", session="f")),
        (SealedPlace("t", "f", session="s"), SealedPlace("t", "f", session="s", turn="0")),
        (SealedPlace("\x00\x00\x00\x01x", "f"), SealedPlace("x", "f")),
    ],
)
def test_places_whose_parts_only_join_to_the_same_are_told_apart(
    place: SealedPlace, other: SealedPlace
) -> None:
    with pytest.raises(Sealed):
        opened_at(other, sealed_at(place, b"what was said"))


@given(bit=st.integers(0, 8 * (OVERHEAD_BYTES + 4) - 1))
def test_what_was_altered_by_one_bit_does_not_open(bit: int) -> None:
    sealed = bytearray(sealed_at(PLACE, b"said"))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Sealed):
        opened_at(PLACE, bytes(sealed))


@given(cut=st.integers(0, OVERHEAD_BYTES + 3))
def test_what_was_cut_off_does_not_open(cut: int) -> None:
    with pytest.raises(Sealed):
        opened_at(PLACE, sealed_at(PLACE, b"said")[:cut])


def test_no_two_seals_of_one_value_are_alike() -> None:
    nonces = {sealed_at(PLACE, b"said")[10 : 10 + NONCE_BYTES] for _ in range(2_000)}

    assert len(nonces) == 2_000


@pytest.mark.parametrize(
    ("key", "nonce", "value", "associated", "sealed"),
    [
        # The Galois/Counter Mode of Operation (McGrew, Viega), test cases 13, 14, 15 and 16.
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00" * 32,
            "00" * 12,
            "00" * 16,
            "",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            "feffe9928665731c6d6a8f9467308308" * 2,
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            "",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
            "b094dac5d93471bdec1a502270e3cc6c",
        ),
        (
            "feffe9928665731c6d6a8f9467308308" * 2,
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ],
)
def test_the_library_computes_the_published_vectors(
    key: str, nonce: str, value: str, associated: str, sealed: str
) -> None:
    given_key, given_nonce, given_value, given_associated = (
        bytes.fromhex(part) for part in (key, nonce, value, associated)
    )

    found = AESGCM(given_key).encrypt(given_nonce, given_value, given_associated)

    assert found.hex() == sealed


def test_a_value_that_was_sealed_long_ago_still_opens() -> None:
    """The form is kept: what lies in archives was written by versions before this one."""
    kept = "9QEAAQIDBAUGB3Vwb24gYSB0aW1lZB/tLkG2cayox5vB3C/C0sQK4XLTHthEaZV3YrsD"

    assert opened_at(PLACE, base64.b64decode(kept)) == b"what was said"


def test_a_cluster_without_a_master_key_seals_nothing() -> None:
    assert NoCipher().seal(b"said", PLACE) == NoCipher().open(b"said", PLACE) == b"said"
    assert sealed_text(NoCipher(), "said", PLACE) == "said"


def test_what_was_stored_before_is_read_as_it_is() -> None:
    cipher = cluster_of_keys().cipher()

    assert [cipher.open(value, PLACE) for value in (b"", b"{}", b"x\x9c\x01")] == [
        b"",
        b"{}",
        b"x\x9c\x01",
    ]


def test_what_is_not_sealed_is_refused_where_that_is_wanted() -> None:
    refused: list[str] = []
    cipher = cluster_of_keys().cipher(strict=True, count=refused.append)

    with pytest.raises(Sealed, match="ENCRYPTION_PLAIN"):
        cipher.open(b'{"message": "put here by somebody"}', PLACE)

    assert refused == ["unsealed"]
    assert cipher.open(cipher.seal(b"said", PLACE), PLACE) == b"said"


@given(text=PARTS)
def test_a_text_is_sealed_as_a_text(text: str) -> None:
    cipher = cluster_of_keys().cipher()
    sealed = sealed_text(cipher, text, PLACE)

    assert sealed.startswith("sealed:")
    assert opened_text(cipher, sealed, PLACE) == text


@pytest.mark.parametrize("text", ["sealed:", "sealed:abc", "sealed:YWJj", "unsealed", "sealed:£"])
def test_a_text_that_only_looks_sealed_is_a_text(text: str) -> None:
    assert opened_text(cluster_of_keys().cipher(), text, PLACE) == text


@pytest.mark.parametrize("form", [b"\xf5\x02", b"\xf5"])
def test_a_form_that_is_not_known_is_told_from_a_text(form: bytes) -> None:
    with pytest.raises(Sealed, match=r"newer version"):
        cluster_of_keys().cipher().open(form + bytes(60), PLACE)


def test_the_form_begins_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        MAGIC[:1].decode()
    assert MASTER.isascii()
