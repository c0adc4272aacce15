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
    search_contacts,
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
REFUSED = [
    "",
    "   ",
    "mary",
    "mary@",
    "@homes.example",
    "mary@homes",
    "mary@localhost",
    "mary lee@homes.example",
    "mary@homes example",
    "mary@@homes.example",
    "mary@lee@homes.example",
    '"mary lee"@homes.example',
    "mary..lee@homes.example",
    ".mary@homes.example",
    "mary.@homes.example",
    "mary@-homes.example",
    "mary@homes.example.",
    "mary@homes_.example",
    "mary@[127.0.0.1]",
    "mary@homes.example,sam@homes.example",
    "<mary@homes.example>",
    "mailto:mary@homes.example",
    "mary\r\nBcc: thief@evil.example",
    "mary@homes.example\nBcc: thief@evil.example",
    "mary\x00@homes.example",
    "mary\x7f@homes.example",
    "mаry@homes.example",  # a Cyrillic а before the @
    "mary@homes.example\u200b",
    "\ufeffmary@homes.example",
    "mary\u2028@homes.example",
    "mary\u202e@homes.example",
    "m" * 250 + "@homes.example",
]


@pytest.mark.parametrize(("typed", "clean"), TAKEN.items())
def test_an_address_comes_out_in_its_usual_form(typed: str, clean: str) -> None:
    assert clean_address(typed) == clean
    assert clean_address(clean) == clean


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_address_is_refused_in_one_sentence(typed: str) -> None:
    with pytest.raises(BadAddress) as refused:
        clean_address(typed)
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
        assert [one.id for one in search_contacts("LEE")] == [mary.id]
        assert search_contacts("lee", role="supplier") == []
