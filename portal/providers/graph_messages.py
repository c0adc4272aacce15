"""Messages as Microsoft Graph shows them: what is asked of one, and what is read of the answer."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import formataddr
from typing import Any

from portal.envelope import SentCopy
from portal.providers.heads import MOST_HEADERS
from portal.providers.rewriting import MARK

#: What is asked of a message, to tell what became of it.
SHOWN = "id,isDraft,from,sender,toRecipients,subject,internetMessageId,conversationId,sentDateTime"


#: What is asked of a message that came in; with whole messages also how its text begins, and its
#: size (PidTagMessageSize), which is told in no other way.
ARRIVED = "id,conversationId,receivedDateTime,webLink,internetMessageId,subject,from"
HEADERS, PREVIEW, SIZE = "internetMessageHeaders", "bodyPreview", "Integer 0x0E08"


def told_headers(message: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Its headers; where Microsoft tells none, as of reports of its own making, what it knows."""
    found = [
        (str(one.get("name") or ""), str(one.get("value") or ""))
        for one in (message.get(HEADERS) or [])[:MOST_HEADERS]
    ]
    if found:
        return tuple(found)
    known = {
        "From": formataddr(_person(message.get("from")), "utf-8"),
        "Subject": str(message.get("subject") or ""),
        "Message-ID": str(message.get("internetMessageId") or ""),
    }
    return tuple((name, value) for name, value in known.items() if value)


def size_of(message: Mapping[str, Any]) -> int:
    """Its bytes, where they were asked for (SIZE); 0 where nothing is told."""
    found = message.get("singleValueExtendedProperties") or []
    told = next((str(one.get("value", "")) for one in found), "")
    return int(told) if told.isdecimal() else 0


def shown() -> dict[str, str]:
    """What to ask of a message that left, or is to leave."""
    mark = f"singleValueExtendedProperties($filter=id eq '{MARK}')"
    return {"$select": SHOWN, "$expand": mark}


def mark_of(message: Mapping[str, Any]) -> str:
    """Our dispatch token on it; "" where it bears none."""
    found = message.get("singleValueExtendedProperties") or []
    return next((str(one.get("value", "")) for one in found if _is_mark(one)), "")


def _is_mark(one: Mapping[str, Any]) -> bool:
    return str(one.get("id", "")).lower() == MARK.lower()


def sent_copy(message: Mapping[str, Any]) -> SentCopy:
    """A message in Sent Items, asked for as shown() says."""
    return SentCopy(
        message_id=str(message["id"]),
        sender=_shown_sender(message),
        internet_message_id=str(message.get("internetMessageId") or ""),
        thread_id=str(message.get("conversationId") or ""),
        at=moment_of(message.get("sentDateTime")),
        token=mark_of(message),
        to=", ".join(str(_person(one)[1]) for one in message.get("toRecipients") or []),
        subject=str(message.get("subject") or ""),
    )


def _shown_sender(message: Mapping[str, Any]) -> str:
    """The From as recipients see it: with "on behalf of" where somebody else is the sender."""
    name, address = _person(message.get("from"))
    by_name, by_address = _person(message.get("sender"))
    if by_address and address and by_address.lower() != address.lower():
        name = f"{by_name or by_address} on behalf of {name or address}"
    return formataddr((name, address), "utf-8") if address else ""


def _person(told: Any) -> tuple[str, str]:
    found = (told or {}).get("emailAddress") or {}
    return str(found.get("name") or ""), str(found.get("address") or "")


def moment_of(text: Any) -> datetime | None:
    """A time as Graph writes it; nothing where it cannot be read."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
