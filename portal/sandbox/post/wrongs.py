"""Mishap: one way in which a conversation with the local mail server goes wrong.

Told in this process (Desk.spoil), or by HTTP in the words of every stand-in.
"""

from __future__ import annotations

from dataclasses import dataclass

from portal.sandbox.faults import Fault, Firing, Kind

#: The moments at which something can go wrong; "." is the end of the message.
MOMENTS = ("CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", ".", "RSET")
#: No reply of SMTP's.
GARBAGE = "<html><title>Error</title></html>"

KINDS = {
    "cut-before": Kind(False, "reset", "The connection is cut before anything was done."),
    "cut-after": Kind(True, "reset", "The message is taken; then the connection is cut."),
    "swallow": Kind(True, "close", "The message is taken; silence for `hang` seconds, then a cut."),
    "swallow-before": Kind(False, "close", "Nothing is done; silence, then a cut."),
    "garbage": Kind(True, "garbage", "The message is taken; the answer is no reply of SMTP's."),
    "later": Kind(False, "error", "451: not now (`message` words it otherwise)."),
    "too-many": Kind(False, "error", "450: too many messages."),
    "closing": Kind(False, "error", "421: too many, and the connection is closed."),
    "refuse": Kind(False, "error", "554: refused for good (`message` words it otherwise)."),
    "log-in-refused": Kind(False, "error", "535: the password is called wrong."),
    "logged-out": Kind(False, "error", "530: the log-in is called over."),
    "delay": Kind(True, "pass", "Waits `delay` seconds, then does the deed and answers."),
    "slow-answer": Kind(True, "slow", "Does the deed, then waits `delay` seconds to answer."),
}
REPLIES = {
    "garbage": GARBAGE,
    "later": "451 4.3.0 Temporary failure, please try again later",
    "too-many": "450 4.7.1 Too many messages, slow down",
    "closing": "421 4.7.0 Too many messages, try again later",
    "refuse": "554 5.7.1 Refused",
    "log-in-refused": "535 5.7.8 Error: authentication failed",
    "logged-out": "530 5.7.0 Authentication required",
}


@dataclass
class Mishap:
    """One way in which a command goes wrong.

    reply: what is answered in place of the usual; nothing: the connection is cut. accepts: at the
    end of a message, whether it was taken all the same. about: only for the recipient whose address
    holds this; user: only for whoever logged in by this name. delay: so many seconds before
    anything else; hang: so many after the deed, before the answer or the cut. times: how often; -1
    for always.
    """

    moment: str
    reply: str = ""
    times: int = 1
    accepts: bool = False
    about: str = ""
    delay: float = 0.0
    usual: bool = False  # after the delay, all goes as usual
    user: str = ""
    hang: float = 0.0

    def strikes(self, moment: str, about: str, user: str) -> bool:
        theirs = not self.user or self.user.lower() == user.lower()
        return self.moment == moment and bool(self.times) and theirs and self.about in about


def of(firing: Firing, moment: str) -> Mishap:
    """What a fault means at this moment; the log of faults says what became of the deed."""
    fault = firing.fault
    firing.entry["acted"] = fault.acts
    usual = fault.wire.ends in ("pass", "slow")
    slow = fault.wire.ends == "slow"
    return Mishap(
        moment,
        fault.message or REPLIES.get(fault.kind, ""),
        accepts=fault.acts,
        delay=0.0 if slow else fault.delay,
        usual=usual,
        hang=fault.delay if slow else fault.hang,
    )


def no_refusal(fault: Fault, moment: str) -> Exception:
    """Here nothing is raised: a reply is a line of the conversation."""
    return AssertionError(f"{fault.kind} at {moment}")
