"""A quick PIN: only where somebody signed in fully, for a few tries, and never a weak one."""

import threading

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from portal import accounts, devices
from portal.devices import MOST_WRONG, MOST_WRONG_TOGETHER, BadPin, Device, Turn
from portal.extensions import db
from tests.factories import PASSWORD, nia, olive, tom

PIN, NIAS = "4829", "730518"


@pytest.fixture
def tablet(app: Flask) -> int:
    """A shared tablet on which Tom and Nia, who have PINs, signed in fully; its id."""
    with app.app_context():
        devices.set_pin(tom(), PASSWORD, PIN)
        devices.set_pin(nia(), PASSWORD, NIAS)
        device, _ = devices.share(tom(), "Van 3")
        for user in (tom(), nia()):
            devices.signed_in_fully(device, user)
        return device.id


def van(tablet: int) -> Device:
    return db.session.get_one(Device, tablet, populate_existing=True)


def wrong(tablet: int, user: accounts.User, pin: str = "9999") -> str:
    with pytest.raises(BadPin) as problem:
        devices.sign_in(van(tablet), user.id, pin)
    return str(problem.value)


# The PIN itself


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        ("0000", "three different digits"),
        ("1122", "three different digits"),
        ("1234", "no counting"),
        ("9876", "no counting"),
        ("890123", "no counting"),
        ("123123", "two halves"),
        ("1984", "a year"),
        ("2026", "a year"),
        ("482", "4 to 8 digits"),
        ("482910573", "4 to 8 digits"),
        ("48a9", "digits alone"),
        ("", "digits alone"),
        ("٤٨٢٩", "digits alone"),
        ("482²", "digits alone"),
    ],
)
def test_a_pin_that_is_easily_guessed_is_refused(pin: str, said: str) -> None:
    assert said in devices.weakness(pin)


@pytest.mark.parametrize("pin", [PIN, NIAS, "1357", "19841", "04829173"])
def test_other_pins_will_do(pin: str) -> None:
    assert devices.weakness(pin) == ""


@given(st.text(max_size=12))
def test_what_will_do_is_always_four_to_eight_digits_of_several_kinds(pin: str) -> None:
    if not devices.weakness(pin):
        assert set(pin) <= set("0123456789") and 4 <= len(pin) <= 8 and len(set(pin)) >= 3


def test_a_pin_needs_the_password_and_is_kept_as_a_hash(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(accounts.CannotChange):
            devices.set_pin(tom(), "not his", PIN)
        assert tom().pin_hash == ""
        devices.set_pin(tom(), PASSWORD, PIN)
        assert tom().pin_hash.startswith("$argon2id$") and PIN not in tom().pin_hash
        with pytest.raises(accounts.CannotChange):
            devices.drop_pin(tom(), "not his")
        devices.drop_pin(tom(), PASSWORD)
        assert tom().pin_hash == ""


# Signing in with it


def test_who_signed_in_fully_comes_back_with_the_pin(app: Flask, tablet: int) -> None:
    with app.app_context():
        user, turn = devices.sign_in(van(tablet), tom().id, PIN)
        assert user.name == "Tom Baker" and devices.goes_on(turn, user.id)


def test_a_pin_is_worth_nothing_where_its_owner_never_signed_in(app: Flask, tablet: int) -> None:
    with app.app_context():
        devices.set_pin(olive(), PASSWORD, "50617")
        assert [one.name for one in devices.faces(van(tablet))] == ["Nia Cole", "Tom Baker"]
        wrong(tablet, olive(), "50617")
        other, _ = devices.share(olive(), "Van 4")
        assert wrong(other.id, tom(), PIN)
        assert devices.faces(other) == []


def test_the_device_is_known_by_its_key_alone(app: Flask, tablet: int) -> None:
    with app.app_context():
        device, key = devices.share(tom(), "")
        assert device.name == "Shared tablet" and key not in device.key_hash
        assert devices.with_key(key) == device
        assert devices.with_key("") is None and devices.with_key(key + "x") is None
        devices.end(device)
        assert devices.with_key(key) is None


def test_after_five_wrong_pins_one_needs_the_password_and_the_others_do_not(
    app: Flask, tablet: int
) -> None:
    with app.app_context():
        said = [wrong(tablet, tom()) for _ in range(MOST_WRONG)]
        assert "4 tries left" in said[0] and "1 try left" in said[3]
        assert "Sign in with your password" in said[4]
        assert "Sign in with your password" in wrong(tablet, tom(), PIN)  # even the right one
        assert [one.locked for one in devices.faces(van(tablet))] == [False, True]
        assert devices.sign_in(van(tablet), nia().id, NIAS)
        devices.signed_in_fully(van(tablet), tom())
        assert devices.sign_in(van(tablet), tom().id, PIN)


def test_the_right_pin_begins_the_count_anew(app: Flask, tablet: int) -> None:
    with app.app_context():
        for _ in range(3):
            for _ in range(MOST_WRONG - 1):
                wrong(tablet, tom())
            assert devices.sign_in(van(tablet), tom().id, PIN)


def test_after_ten_wrong_pins_the_device_is_trusted_no_more(app: Flask, tablet: int) -> None:
    with app.app_context():
        _, turn = devices.sign_in(van(tablet), nia().id, NIAS)
        devices.set_pin(olive(), PASSWORD, "50617")
        devices.signed_in_fully(van(tablet), olive())
        for user in (tom(), olive()):
            said = [wrong(tablet, user) for _ in range(MOST_WRONG)]
        assert MOST_WRONG_TOGETHER == 2 * MOST_WRONG
        assert "Everybody signs in with their password now" in said[-1]
        assert not van(tablet).active and not devices.goes_on(turn, nia().id)


def test_tries_at_the_same_moment_all_count(app: Flask, tablet: int) -> None:
    with app.app_context():
        user_id = tom().id

    def guess() -> None:
        with app.app_context():
            with pytest.raises(BadPin):
                devices.sign_in(van(tablet), user_id, "9999")
            db.session.remove()

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with app.app_context():
        assert van(tablet).failures == MOST_WRONG
        assert "Sign in with your password" in wrong(tablet, tom(), PIN)


def test_a_new_password_ends_the_pin_until_the_next_full_sign_in(app: Flask, tablet: int) -> None:
    with app.app_context():
        accounts.give_password(tom(), "another long password")
        assert [one.name for one in devices.faces(van(tablet))] == ["Nia Cole"]
        wrong(tablet, tom(), PIN)
        devices.signed_in_fully(van(tablet), tom())
        assert devices.sign_in(van(tablet), tom().id, PIN)


def test_who_left_or_gave_the_pin_up_is_no_face_and_cannot_come_back(
    app: Flask, tablet: int
) -> None:
    with app.app_context():
        accounts.end(tom())
        devices.drop_pin(nia(), PASSWORD)
        assert devices.faces(van(tablet)) == []
        wrong(tablet, tom(), PIN)
        wrong(tablet, nia(), NIAS)


def test_the_next_turn_and_leaving_end_every_copy_of_the_last_one(app: Flask, tablet: int) -> None:
    with app.app_context():
        _, first = devices.sign_in(van(tablet), tom().id, PIN)
        _, second = devices.sign_in(van(tablet), tom().id, PIN)
        assert not devices.goes_on(first, tom().id) and devices.goes_on(second, tom().id)
        assert not devices.goes_on(second, nia().id)
        devices.leave(second, tom().id)
        assert not devices.goes_on(second, tom().id)
        assert not devices.goes_on(Turn(99, ""), tom().id)


def test_a_person_the_device_does_not_know_costs_the_same_work(
    app: Flask, tablet: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, verified = accounts._hasher, []

    class Counting:
        hash = staticmethod(real.hash)

        def verify(self, stored: str, secret: str) -> bool:
            verified.append(stored)
            return real.verify(stored, secret)

    with app.app_context():
        someone = olive()
        monkeypatch.setattr(accounts, "_hasher", Counting())
        wrong(tablet, tom())
        wrong(tablet, someone)
    assert len(verified) == 2 and all(one.startswith("$argon2id$") for one in verified)
