"""Incoming: what a mail that came into a mailbox says of one that left. Pure: bytes in, words out.

read() takes a whole message, read_headers() what is known where only headers were granted. Neither
ever raises, whatever is fed to it, and both look at a bounded part of it.
"""

from portal.incoming.letter import Clues, Failed, Letter, Sort
from portal.incoming.reading import read, read_headers
from portal.incoming.reasons import Reason, Verdict, sentence

__all__ = [
    "Clues",
    "Failed",
    "Letter",
    "Reason",
    "Sort",
    "Verdict",
    "read",
    "read_headers",
    "sentence",
]
