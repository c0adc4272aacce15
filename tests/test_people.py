"""An address is taken as people write it, in its usual form, or refused in one sentence."""

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from portal.envelope import Mailable, seal
from portal.people import (
    MOST_RECIPIENTS,
    BadAddress,
    addresses_in,
    clean_address,
    contact_with,
    find_contacts,
)
from tests import factories

TAKEN = {
    "mary.lee@homes.example": "mary.lee@homes.example",
    "  mary.lee@homes.example\t": "mary.lee@homes.example",
    "mary.lee@homes.example\r\n": "mary.lee@homes.example",
    "\u00a0mary.lee@homes.example\u00a0": "mary.lee@homes.example",
    "Mary.Lee@HOMES.example": "Mary.Lee@homes.example",
    "o'hara+jobs@homes.example": "o'hara+jobs@homes.example",
    "mary@bücher.example": "mary@xn--bcher-kva.example",
    "mary@ｈomes.example": "mary@homes.example",
    "mary@hоmes.example": "mary@xn--hmes-55d.example",  # a Cyrillic о shows itself
}
REFUSED = {
    "": "nothing is written",
    "   ": "nothing is written",
    "mary": "it has no @",
    "mary@": "nothing stands after the @",
    "@homes.example": "nothing stands before the @",
    "mary@homes": "what stands after the @ has no dot",
    "mary@localhost": "what stands after the @ has no dot",
    "mary lee@homes.example": "it has a space in it",
    "mary@homes example": "it has a space in it",
    "mary@@homes.example": "it has more than one @",
    "mary@lee@homes.example": "it has more than one @",
    '"mary lee"@homes.example': "it has a space in it",
    "mary..lee@homes.example": "a dot stands in the wrong place before",
    ".mary@homes.example": "a dot stands in the wrong place before",
    "mary.@homes.example": "a dot stands in the wrong place before",
    "mary@-homes.example": "no mail can be sent to -homes.example",
    "mary@homes.example.": "a dot stands in the wrong place after",
    "mary@homes_.example": "“_” cannot stand in it",
    "mary@[127.0.0.1]": "“[” cannot stand in it",
    "mary@homes.example,sam@homes.example": "it has more than one @",
    "<mary@homes.example>": "“<” cannot stand in it",
    "mailto:mary@homes.example": "“:” cannot stand in it",
    "mary\r\nBcc: thief@evil.example": "has a line break in it",
    "mary@homes.example\nBcc: thief@evil.example": "has a line break in it",
    "mary\x00@homes.example": "cannot be seen",
    "mary\x7f@homes.example": "cannot be seen",
    "mаry@homes.example": "“а” cannot stand in it",  # a Cyrillic а before the @
    "mary@homes.example\u200b": "cannot be seen",
    "\ufeffmary@homes.example": "cannot be seen",
    "mary\u2028@homes.example": "cannot be seen",
    "mary\u202e@homes.example": "cannot be seen",
    "m" * 250 + "@homes.example": "it has more than 254 characters",
    "mary@office.local": "no mail can be sent to office.local",
    "=?utf-8?q?mary?=@homes.example": "it holds =? signs",
}


@pytest.mark.parametrize(("typed", "clean"), TAKEN.items())
def test_an_address_comes_out_in_its_usual_form(typed: str, clean: str) -> None:
    assert clean_address(typed) == clean
    assert clean_address(clean) == clean


@pytest.mark.parametrize(("typed", "wrong"), REFUSED.items())
def test_what_is_no_address_is_refused_in_one_sentence(typed: str, wrong: str) -> None:
    with pytest.raises(BadAddress) as refused:
        clean_address(typed)
    assert wrong in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@given(st.text(max_size=60) | st.from_regex(r"[^@]{1,12}@[^@]{1,15}\.[a-z]{2,5}", fullmatch=True))
def test_whatever_is_taken_can_stand_in_a_header(typed: str) -> None:
    try:
        clean = clean_address(typed)
    except BadAddress:
        return
    assert clean.isascii() and clean.isprintable() and " " not in clean
    assert clean.count("@") == 1
    assert clean_address(clean) == clean
    message = seal(
        token="t",
        message_id="<t@portal.example>",
        sender=Mailable(clean),
        to=[Mailable(clean)],
        cc=[],
        subject="",
        text="",
        html="",
        attachments=[],
    )
    assert message.recipients == (clean,)


def test_a_list_of_addresses_is_read_as_people_paste_it() -> None:
    typed = 'Mary Lee <mary@homes.example>; "Lee, Sam" <sam@homes.example>,\n\r kim@homes.example, '
    assert addresses_in(typed) == ("mary@homes.example", "sam@homes.example", "kim@homes.example")
    with pytest.raises(BadAddress, match="the most is"):
        addresses_in(", ".join(f"p{n}@homes.example" for n in range(MOST_RECIPIENTS + 1)))
    with pytest.raises(BadAddress, match="two@@"):
        addresses_in("mary@homes.example, two@@homes.example")


@given(st.text(st.sampled_from('ab@.,;<>" \n\r\t'), max_size=200))
def test_no_paste_hangs_or_crashes(typed: str) -> None:
    try:
        assert all("@" in one for one in addresses_in(typed))
    except BadAddress as refused:
        assert str(refused)


def test_the_other_holder_of_an_address_is_found(app: Flask) -> None:
    with app.app_context():
        mary = factories.mary()
        found = contact_with("MARY.LEE@homes.example")
        assert found is not None and found.id == mary.id
        assert contact_with("mary.lee@homes.example", other_than=mary) is None
        assert contact_with("") is None
        assert [one.id for one in find_contacts("LEE")] == [mary.id]
        assert find_contacts("lee", types=["supplier"]) == []
