"""Onward: back to the form that somebody left to write down who or where it is for.

The form itself is kept by their browser; the new record comes back in its address.
"""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from portal.web.guard import on_site

#: Forms that take a contact or a property out of their address.
TAKES = re.compile(
    r"/documents/(?:[a-z_]+/new|\d+/edit)|/properties/(?:new|\d+/(?:edit|contacts))", re.ASCII
)


def onward(target: str, **made: int) -> str:
    """Where to go on: onward("/documents/invoice/new", contact=7) brings contact 7 along."""
    there = on_site(target)
    parts = urlsplit(there)
    if not TAKES.fullmatch(parts.path):
        return there
    args = dict(parse_qsl(parts.query)) | {name: str(number) for name, number in made.items()}
    return f"{parts.path}?{urlencode(args)}"
