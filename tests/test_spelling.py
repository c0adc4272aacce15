"""An address is read as it was meant: what was taken out is said, a doubt is only asked about."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.people import BadAddress, clean_address
from portal.spelling import PROVIDERS, doubt, likely, tidied, twin_of

MARY = "mary.lee@homes.example"
HIDDEN = "We removed a hidden character."
SPACES = "We removed spaces."
SHAPES = "We wrote letters of an unusual shape plainly."
AROUND = "We took the address out of what stood around it."
SIGN = "We removed a sign before or after it."

TIDIED = {
    "  mary.lee@homes.example\t": SPACES,
    "\u00a0mary.lee@homes.example\u00a0": SPACES,
    "mary.lee @ homes.example": SPACES,
    "mary.lee@homes.example\r\n": SPACES,
    "mary.lee@homes.example\u200b": HIDDEN,
    "\ufeffmary.lee@homes.example": HIDDEN,
    "mary\u00ad.lee@homes.example": HIDDEN,
    "mary.lee@homes\u2060.example": HIDDEN,
    "\u202amary.lee@homes.example\u202c": HIDDEN,
    "mary.lee＠homes．example": SHAPES,
    "ｍａｒｙ.lee@homes.example": SHAPES,
    "mary.lee@homes。example": SHAPES,
    "mailto:mary.lee@homes.example": AROUND,
    "MAILTO:mary.lee@homes.example?subject=Tap": AROUND,
    "<mary.lee@homes.example>": AROUND,
    "Mary Lee <mary.lee@homes.example>": AROUND,
    "“mary.lee@homes.example”": AROUND,
    "'mary.lee@homes.example'": AROUND,
    "mary.lee@homes.example.": SIGN,
    "mary.lee@homes.example,": SIGN,
    ";mary.lee@homes.example": SIGN,
}


@pytest.mark.parametrize(("typed", "note"), TIDIED.items())
def test_what_cannot_be_meant_is_taken_out_and_said(typed: str, note: str) -> None:
    found = tidied(typed)
    assert found.text == MARY
    assert note in found.notes


def test_everything_at_once_is_said_once() -> None:
    found = tidied("\u200b Mary Lee <\u200bmary.lee@homes.example\u200b>;\u00a0")
    assert found.text == MARY
    assert len(found.notes) == len(set(found.notes)) == 4


@pytest.mark.parametrize(
    "typed",
    [
        "mary lee@homes.example",
        "mary.lee@homes.example\nBcc: eve@spam.example",
        ".mary@homes.example",
        "mary@homes.example, bob@homes.example",
        "mаry@homes.example",  # a Cyrillic а
    ],
)
def test_what_may_mean_two_things_is_left_to_the_person(typed: str) -> None:
    assert tidied(typed).text == typed


good_names = st.from_regex(r"[a-z0-9][a-z0-9'+_-]{0,8}(\.[a-z0-9]{1,6})?", fullmatch=True)
good_domains = st.from_regex(r"[a-z][a-z0-9]{1,9}(\.[a-z]{2,6}){1,2}", fullmatch=True)
good = st.builds("{}@{}".format, good_names, good_domains)
noise = st.sampled_from([" ", "\u00a0", "\u200b", "\ufeff", "<", ">", ",", ";", "\t"])


@given(good)
def test_a_good_address_is_never_changed(email: str) -> None:
    assert tidied(email).text == email
    assert tidied(email).notes == ()


@given(st.lists(noise | st.just("mailto:"), max_size=4), good, st.lists(noise, max_size=4))
def test_noise_around_an_address_changes_nothing_of_it(
    before: list[str], email: str, after: list[str]
) -> None:
    read = tidied("".join(before) + email + "".join(after)).text
    assert email in read
    try:
        assert clean_address(read) == clean_address(email)
    except BadAddress:
        return  # refused, and so asked about, rather than guessed


@given(st.text(max_size=40) | good.map(lambda one: f" “{one}\u200b”."))
def test_reading_twice_finds_nothing_more(typed: str) -> None:
    once = tidied(typed).text
    assert tidied(once) == type(tidied(""))(once)


@given(good, st.data())
def test_a_look_alike_never_becomes_the_plain_address_by_itself(
    email: str, data: st.DataObject
) -> None:
    odd = dict(zip("aceopxy", "асеорху", strict=True))
    spots = [n for n, letter in enumerate(email) if letter in odd]
    if not spots:
        return
    n = data.draw(st.sampled_from(spots))
    fake = email[:n] + odd[email[n]] + email[n + 1 :]
    assert tidied(fake).text == fake
    assert twin_of(fake) == email
    found = doubt(fake)
    assert found and found.meant == email and "Cyrillic" in found.question
    with suppress(BadAddress):
        assert clean_address(fake) != email


ASKED = {
    "gmial.com": "gmail.com",
    "gmai.com": "gmail.com",
    "gmail.con": "gmail.com",
    "gmail.co": "gmail.com",
    "gmail": "gmail.com",
    "gmail.com.au": "gmail.com",
    "hotmial.com": "hotmail.com",
    "hotmial": "hotmail.com",
    "hotmial.con": "hotmail.com",
    "outlok.com": "outlook.com",
    "yaho.com.au": "yahoo.com.au",
    "bigpond.con": "bigpond.com",
    "bigpnod.net.au": "bigpond.net.au",
    "iclould.com": "icloud.com",
    "homes.con": "homes.com",
    "homes.cmo.au": "homes.com.au",
    "GMIAL.com": "gmail.com",
}
FINE = (
    *PROVIDERS,
    *("homes.example", "brightspark.example", "life.com", "line.com", "ne.com", "smail.example"),
    *("bücher.example", "почта.example", "copperco.example", "homes", "conco.org"),
)


@pytest.mark.parametrize(("domain", "meant"), ASKED.items())
def test_a_slip_of_the_keys_is_asked_about(domain: str, meant: str) -> None:
    assert likely(f"Mary.Lee@{domain}") == f"Mary.Lee@{meant}"
    found = doubt(f"Mary.Lee@{domain}")
    assert found and domain.lower() in found.question.lower()


@pytest.mark.parametrize("domain", sorted(FINE))
def test_an_unusual_domain_is_nobodys_slip(domain: str) -> None:
    assert doubt(f"mary@{domain}") is None


@given(good | good.map(lambda one: one.replace(".com", ".con")))
def test_what_is_proposed_is_not_asked_about_again(email: str) -> None:
    found = doubt(email)
    if found:
        assert found.meant != email
        assert doubt(found.meant) is None
