"""A sealed secret opens for its own row with its own key, and for nothing else."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portal.vault import CannotOpen, key_name, open_sealed, seal

keys = st.binary(min_size=32, max_size=32)
names = st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True)
rows = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)
secrets = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)


@given(names, keys, rows, secrets)
def test_what_was_sealed_opens(name: str, key: bytes, row: str, secret: str) -> None:
    sealed = seal({name: key}, row, secret)
    assert key_name(sealed) == name
    assert open_sealed({"other": bytes(32), name: key}, row, sealed) == secret
    if len(secret) > 4:
        assert secret.encode() not in sealed


@given(names, keys, rows, rows, secrets)
def test_it_opens_for_no_other_row(
    name: str, key: bytes, row: str, other: str, secret: str
) -> None:
    assume(row != other)
    with pytest.raises(CannotOpen):
        open_sealed({name: key}, other, seal({name: key}, row, secret))


@given(names, keys, keys, secrets)
def test_it_opens_with_no_other_key(name: str, key: bytes, other: bytes, secret: str) -> None:
    assume(key != other)
    sealed = seal({name: key}, "row", secret)
    with pytest.raises(CannotOpen):
        open_sealed({name: other}, "row", sealed)
    with pytest.raises(CannotOpen, match=name):
        open_sealed({"x" + name: key}, "row", sealed)


@given(keys, secrets, st.data())
def test_no_altered_byte_opens(key: bytes, secret: str, data: st.DataObject) -> None:
    sealed = bytearray(seal({"k1": key}, "row", secret))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        open_sealed({"k1": key}, "row", bytes(sealed))


@given(keys, secrets, st.data())
def test_nothing_cut_short_or_made_up_opens(key: bytes, secret: str, data: st.DataObject) -> None:
    sealed = seal({"k1": key}, "row", secret)
    short = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    for broken in (short, data.draw(st.binary(max_size=80)), b"\x01\x02k1", b"\x01\xffk1"):
        with pytest.raises(CannotOpen):
            open_sealed({"k1": key}, "row", broken)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    keys_ = {"k1": bytes(32)}
    assert seal(keys_, "row", "secret") != seal(keys_, "row", "secret")


def test_the_first_key_seals_and_all_open() -> None:
    old, new = {"k1": bytes(32)}, {"k2": bytes([1] * 32), "k1": bytes(32)}
    assert open_sealed(new, "row", seal(old, "row", "secret")) == "secret"
    assert key_name(seal(new, "row", "secret")) == "k2"
