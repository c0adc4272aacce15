"""Answers: what Microsoft Graph says instead of the thing asked for, sorted by what happens next.

Graph: guides "errors", "throttling", "throttling-limits".
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from portal.envelope import (
    Gone,
    NeedsPermission,
    NeedsSignIn,
    NotAllowed,
    OperatorProblem,
    ProviderAnswer,
    Refused,
    TryLater,
)
from portal.providers.wire import (
    IN_BETWEEN,
    WHILE_LOOKED_INTO,
    in_between,
    object_in,
    unclear,
    words_of,
)

#: Where no moment is named, a day's limit is tried again every hour; none lasts longer than a day.
AN_HOUR, LONGEST_WAIT = 3600.0, 24 * 3600.0
LIMIT_REACHED = "Microsoft's sending limit is reached for now."
STOPPED = "Microsoft has stopped mail from this mailbox: whoever looks after your Microsoft 365 sees why in its admin centre."  # noqa: E501
NOT_LET_IN = "Microsoft does not let this portal in: its registration must be put right."
NO_MAILBOX = "This Microsoft account has no mailbox in Microsoft 365."
NOT_ALLOWED = "Microsoft does not let this mailbox send as that address."
NO_LONGER_A_DRAFT = {
    "ErrorInvalidPropertyUpdateSentMessage",
    "ErrorInvalidIdMalformed",
    "ErrorInvalidId",
    "ErrorItemNotFound",
}
SEND_AS_DENIED = {
    "ErrorSendAsDenied",
    "ErrorSendAsNotAllowed",
    "ErrorSendOnBehalfOfDenied",
    "ErrorInvalidSender",
}
WITHOUT_MAILBOX = {
    "MailboxNotEnabledForRESTAPI",
    "MailboxNotSupportedForRESTAPI",
    "ErrorNonExistentMailbox",
    "ResourceNotFound",
}
DENIED = {"ErrorAccessDenied", "Authorization_RequestDenied", "AccessDenied"}
TOO_MANY_A_DAY = {"ErrorExceededMessageLimit", "ErrorQuotaExceeded"}
SUSPENDED = {"ErrorAccountSuspend", "ErrorAccountSuspended", "ErrorMessageSubmissionBlocked"}
TOO_LARGE = {"ErrorMessageSizeExceeded"}
#: With 410, and seen without it: where the delta had got to is forgotten (issues
#: microsoft-graph-docs 2162, 2350, 2877).
SYNC_FORGOTTEN = {"syncstatenotfound", "syncstateinvalid", "resyncrequired"}
#: Of these the wait says itself how long it is; the mailbox's pace is not what was too fast.
CONCURRENT = ("MailboxConcurrency",)


@dataclass(frozen=True)
class Call:
    """One of Graph's methods. name: as in pace.EXCHANGE.

    carries: it brings the message, or the draft that holds it, a step further, so that a refusal
    may be of the message. sends: by it the message may leave. most: bytes of an answer that is
    wanted, 0 for any number; cut: of a longer one its first part.
    """

    name: str
    verb: str
    path: str
    carries: bool = False
    sends: bool = False
    most: int = 0
    cut: bool = False


class Forgotten(Gone):
    """Up to where was read, Microsoft knows no longer."""


@dataclass(frozen=True)
class GraphProblem:
    """An error as Graph writes it."""

    code: str
    message: str


def answer_for(status: int, headers: Mapping[str, str], body: bytes, call: Call) -> ProviderAnswer:
    """Sort what was answered instead of the thing asked for, by what happens next."""
    problem, words = error_in(body), in_words(status, body)
    if status >= 500 or status == 408:
        return _own_error(headers, call, words)
    if problem is None or status < 400:
        if status < 400 or status == 429:  # by their meaning, nothing was done
            return TryLater(IN_BETWEEN, words, WHILE_LOOKED_INTO)
        return in_between(words, sends=call.sends)
    if status == 401:
        return NeedsSignIn("Microsoft no longer accepts this mailbox's sign-in.", words)
    if status == 429:
        return _throttled(headers, problem, words)
    return _of_its_code(status, problem, call, words) or _refusal(status, problem, call, words)


def _own_error(headers: Mapping[str, str], call: Call, words: str) -> ProviderAnswer:
    """An error of Microsoft's own: what was asked may have been done all the same."""
    waits = retry_after(headers)
    if waits is not None and not call.sends:
        return TryLater("Microsoft is too busy just now.", words, waits, exact=True)
    message = "Microsoft answered with an error of its own."
    return unclear(message, words, sends=call.sends, rests=waits or 0)


def _throttled(headers: Mapping[str, str], problem: GraphProblem, words: str) -> TryLater:
    waits = retry_after(headers)
    fast = not any(one in problem.message for one in CONCURRENT)
    if waits is None:
        return TryLater(LIMIT_REACHED, words, too_fast=fast)
    return TryLater(LIMIT_REACHED, words, waits, exact=True, too_fast=fast)


def _of_its_code(
    status: int, problem: GraphProblem, call: Call, words: str
) -> ProviderAnswer | None:
    """What the code alone decides, whatever the status: Graph is not of one mind about that."""
    code = problem.code
    if status == 410 or code.lower() in SYNC_FORGOTTEN:
        return Forgotten("Microsoft no longer knows up to where was read.", words)
    if code in SEND_AS_DENIED:
        return NotAllowed(NOT_ALLOWED, words)
    if code in WITHOUT_MAILBOX:
        return NeedsSignIn(NO_MAILBOX, words)
    if code in TOO_MANY_A_DAY:
        return TryLater(LIMIT_REACHED, words, AN_HOUR)
    if code in SUSPENDED:
        return TryLater(STOPPED, words, AN_HOUR)
    if code in NO_LONGER_A_DRAFT or status == 404:
        return Gone("Microsoft no longer has it.", words)
    if code == "ErrorIrresolvableConflict":  # it is just leaving: only looking tells
        return unclear("Microsoft is busy with this very message.", words, sends=call.sends)
    return None


def _refusal(status: int, problem: GraphProblem, call: Call, words: str) -> ProviderAnswer:
    """What will not change by itself: of the address, the mailbox, the portal or the message."""
    if status == 403 and problem.code in DENIED:
        # The mailbox itself may send, or it would not have got as far: it is the other address.
        return NotAllowed(NOT_ALLOWED, words) if call.sends else _not_granted(words)
    if status == 403:
        return OperatorProblem(NOT_LET_IN, words)
    if call.carries and (status in (400, 413) or problem.code in TOO_LARGE):
        said = problem.message or "no reason given"
        return Refused(f"Microsoft refused the message: {said}", words)
    return TryLater("Microsoft did not take what the portal asked of it.", words, WHILE_LOOKED_INTO)


def _not_granted(words: str) -> NeedsPermission:
    return NeedsPermission("The mailbox did not grant a permission this needs.", words)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, named as such or as a moment, and a little more; None where nothing is."""
    told = headers.get("Retry-After") or ""
    try:
        moment = None if told.strip().isdecimal() else parsedate_to_datetime(told)
        seconds = (moment - datetime.now(UTC)).total_seconds() if moment else float(told)
    except (ValueError, TypeError):
        return None
    # Not all of a company's mailboxes in the same moment, where the same was named to each.
    return min(max(0.0, seconds) + random.random(), LONGEST_WAIT)


def parsed(answer: bytes) -> dict[str, Any]:
    """A good answer as what it tells. TryLater: it cannot be read."""
    if not answer:  # what a deletion answers
        return {}
    found = object_in(answer)
    if found is None:
        raise TryLater("Microsoft's answer could not be read.", repr(answer[:200]))
    return found


def error_in(body: bytes) -> GraphProblem | None:
    """The error in an answer; None where the answer is not of Graph's making."""
    try:
        error = json.loads(body)["error"]
        return GraphProblem(str(error["code"]), str(error.get("message") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def in_words(status: int, body: bytes) -> str:
    """What was answered, in its own words, for the evidence."""
    problem = error_in(body)
    return words_of(status, f"{problem.code} {problem.message}" if problem else "", body)
