"""Stamp: what a page that follows something said last, in a few letters.

The page brings it along when it looks again. Where it still says the same, the answer is empty
(204), and htmx leaves the page as it is: most looks find nothing new, and cost next to nothing.
"""

import zlib

from flask import request
from flask.typing import ResponseReturnValue

from portal.web.page import wants_fragment

NOTHING_NEW: ResponseReturnValue = ("", 204)


def of(*facts: object) -> str:
    """The stamp of what a page says: equal facts, equal stamps."""
    return f"{zlib.crc32(repr(facts).encode()):08x}"


def is_known(stamp: str) -> bool:
    """Whether htmx looks again, and the page there says this already."""
    return wants_fragment() and request.args.get("seen") == stamp
