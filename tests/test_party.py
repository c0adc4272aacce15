"""Whom a document is for, and where: what belongs together stays together on its form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.web.party import site_for

HILL, QUAY = "12 Hill St\nNewtown", "9 Quay St"
places = st.sampled_from(["", HILL, QUAY, "The shed behind the house"])


@pytest.mark.parametrize(
    ("written", "former", "chosen", "after"),
    [
        ("", "", HILL, HILL),
        (" \n", "", HILL, HILL),
        (HILL, HILL, QUAY, QUAY),
        ("12 Hill St\r\nNewtown ", HILL, QUAY, QUAY),
        (HILL, HILL, "", ""),
        ("The shed", HILL, QUAY, "The shed"),
        ("The shed", "", QUAY, "The shed"),
        (HILL, "", QUAY, HILL),
    ],
)
def test_the_site_follows_its_property_unless_somebody_wrote_another(
    written: str, former: str, chosen: str, after: str
) -> None:
    assert site_for(written, former, chosen) == after


@given(places, places, places)
def test_nothing_somebody_wrote_is_ever_lost(written: str, former: str, chosen: str) -> None:
    after = site_for(written, former, chosen)
    assert after in (written, chosen)
    if written.strip() and written != former:
        assert after == written
