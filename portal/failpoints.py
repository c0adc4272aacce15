"""Failpoints: named places at every arrow between the click and the stored result.

In ordinary life they do nothing. When SENDWRIGHT_FAILPOINTS names a Unix socket, each process asks
there what is to happen at that very place and waits for the answer: this is how tests/faults kills,
cuts and restarts things at exactly one arrow. NAMES says them in the order of the route.
"""

import json
import os
import socket
import time

#: Where the steering listens; nothing outside tests sets it.
STEERED_BY = os.environ.get("SENDWRIGHT_FAILPOINTS", "")

#: Every failpoint with what has just happened, or is about to.
NAMES = {
    "request.frozen": "the message is built, nothing is stored",
    "request.stored": "the row is written, not committed",
    "request.committed": "the row is committed, nobody was woken",
    "freeze.taken": "a batch item is taken, nothing is frozen",
    "freeze.asked": "its dispatch is written, its item does not say so, nothing is committed",
    "drain.leased": "the mailbox is leased, nothing is claimed",
    "claim.written": "the claim is written, not committed",
    "claim.committed": "the claim is committed, nothing was asked",
    "address.confirmed": "the address was looked at, no draft was made",
    "draft.made": "the draft is in Gmail, its id is not stored",
    "handover.written": "the hand-over is written, not committed",
    "handover.committed": "the hand-over is committed, nothing was sent",
    "send.answered": "Gmail has answered, nothing is stored",
    "result.written": "the result is written, not committed",
    "result.committed": "the result is committed, the proof is unread",
    "proof.read": "the sent copy was read, nothing is stored",
    "proof.committed": "the proof is committed",
    "settle.looked": "an unclear outcome was looked up, nothing is stored",
}


class Steered(Exception):
    """The steering asked for an error at this place."""


def reached(name: str, dispatch_id: int | None = None) -> None:
    """Say that a failpoint was reached; returns at once unless somebody steers."""
    if STEERED_BY:
        _ask(name, dispatch_id)


def _ask(name: str, dispatch_id: int | None) -> None:
    asked = {
        "point": name,
        "dispatch": dispatch_id,
        "pid": os.getpid(),
        "parent": os.getppid(),
        "steered_by": STEERED_BY,
    }
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(STEERED_BY)
            line.sendall(json.dumps(asked).encode() + b"\n")
            answer = line.makefile().readline().strip()
        except OSError:  # the steering is over; life goes on
            return
    what, _, detail = answer.partition(" ")
    if what == "sleep":
        time.sleep(float(detail))
    elif what == "raise":
        raise Steered(detail or name)
