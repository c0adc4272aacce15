"""A mail server that lets people read what came in (IMAP), on this machine, for tests and try-outs.

It speaks the part of IMAP4rev1 (RFC 3501) that a program needs which looks for new mail in an inbox
and reads it: TLS at one port, STARTTLS at the other, a log-in by password or token. It imports
nothing of the portal.
"""

from portal.sandbox.letterbox.boxes import Boxes, Letter
from portal.sandbox.letterbox.server import Letterbox

__all__ = ["Boxes", "Letter", "Letterbox"]
