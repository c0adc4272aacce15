"""The verdict that a person gives each reason, said here once more: the readers have their own."""

from portal.incoming import Reason, Verdict

_BY_VERDICT = {
    Verdict.HARD: (Reason.NO_SUCH_ADDRESS, Reason.NO_SUCH_DOMAIN, Reason.ADDRESS_CLOSED),
    Verdict.SOFT: (
        *(Reason.MAILBOX_FULL, Reason.TOO_LARGE, Reason.TEMPORARY, Reason.GAVE_UP),
        *(Reason.GREYLISTED, Reason.LOOP),
    ),
    Verdict.POLICY: (
        *(Reason.SENDER_NOT_ALLOWED, Reason.RESTRICTED, Reason.BLOCKED, Reason.CONTENT),
        *(Reason.RELAY_DENIED, Reason.LIMIT),
    ),
    Verdict.UNKNOWN: (Reason.UNKNOWN,),
}


def verdict_of(reason: Reason) -> Verdict:
    return next(verdict for verdict, reasons in _BY_VERDICT.items() if reason in reasons)
