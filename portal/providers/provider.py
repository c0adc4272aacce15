"""Provider: what each mailbox can be asked, whoever runs it. The interface and its promises.

Every call ends in what it returns or in one ProviderAnswer (portal.envelope). What a provider
cannot do is not offered by its abilities, and raises Cannot where it is asked for all the same: it
never does nothing in silence. docs/providers.md says how to add one; tests/contract holds each to
the same answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from portal.envelope import Receipt, SentCopy
from portal.pace import Tariff


class Cannot(Exception):
    """A provider was asked for what it does not offer. A mistake of the portal's own."""


class Access(StrEnum):
    """What may be read of that which comes in: nothing, headers alone, or whole messages."""

    NONE = "none"
    HEADERS = "headers"
    WHOLE = "whole"


@dataclass(frozen=True)
class Abilities:
    """What a mailbox offers, by its provider and by what its owner granted.

    two_phase: a draft can serve as the commit token. list_addresses: the provider itself says from
    which addresses the mailbox may send. read_sent: the sent copy can be read, and so the From that
    it bears. incoming: what may be read of that which comes in.
    """

    send: bool = False
    two_phase: bool = False
    list_addresses: bool = False
    read_sent: bool = False
    incoming: Access = Access.NONE


@dataclass(frozen=True)
class Permission:
    """One line on the provider's page: what it writes there, and what fails without it."""

    asked: str
    without: str


@dataclass(frozen=True)
class ListedAddress:
    """One send-from address as the provider lists it. verification: accepted or pending."""

    email: str
    name: str
    verification: str
    is_primary: bool
    is_default: bool


#: Of a larger message (bytes) only the headers and what of its first parts fits are fetched.
INCOMING_LARGEST = 2 * 1024 * 1024
#: So many ids one look at what has come in brings at most.
ARRIVALS_MOST = 100


@dataclass(frozen=True)
class Arrivals:
    """What one look at a mailbox found to have come in.

    ids: oldest or newest first, as the provider lists them; empty where only other things happened.
    mark: up to where was read, for the next look; the provider's own words, a few thousand
    characters at most. more: the next look need not wait. relisted: the old mark meant nothing any
    more, so these come from a listing of what is there, and may be known.
    """

    ids: tuple[str, ...]
    mark: str
    more: bool = False
    relisted: bool = False


@dataclass(frozen=True)
class Incoming:
    """One message that came in.

    at: when the provider took it. raw: the message, or its first INCOMING_LARGEST bytes or parts;
    None where only headers were granted or asked for. headers: as they stand or as the provider
    tells them, in their order. snippet: how its text begins, where the provider says it unasked.
    size: in bytes, 0 where nobody tells. link: where its owner can open it; "" where nowhere.
    """

    id: str
    thread_id: str
    at: datetime | None
    raw: bytes | None
    headers: tuple[tuple[str, str], ...]
    snippet: str = ""
    size: int = 0
    link: str = ""


class Provider(ABC):
    """One mailbox, ready to be called. No call is made with a transaction open.

    spend: told the name of each call, as in the tariff, right before it is made; what it raises
    keeps it from being made.
    """

    #: What a person calls it.
    label: ClassVar[str]
    #: What it counts for each call.
    tariff: ClassVar[Tariff]

    #: For so many seconds after a hand-over its drafts and lists say nothing certain.
    settles_after: float = 0.0
    abilities: Abilities
    spend: Callable[[str], None]

    @property
    def can_send(self) -> bool:
        return self.abilities.send

    @property
    def two_phase(self) -> bool:
        """Whether a draft can serve as the commit token."""
        return self.abilities.two_phase

    @property
    def can_list_addresses(self) -> bool:
        return self.abilities.list_addresses

    @property
    def can_read_sent(self) -> bool:
        return self.abilities.read_sent

    @property
    def incoming_access(self) -> Access:
        """What may be read of that which comes in."""
        return self.abilities.incoming

    @property
    def reads_incoming(self) -> bool:
        """Whether anything of what comes in may be read."""
        return self.incoming_access is not Access.NONE

    @property
    def sending_units(self) -> int:
        """What handing over one message costs, all its calls together."""
        return self.tariff.sending(drafts=self.two_phase)

    @property
    def reading_units(self) -> int:
        """What reading one sent copy costs; nothing where none can be read."""
        return self.tariff.reading if self.can_read_sent else 0

    @property
    def looking_units(self) -> int:
        """What one look at what came in costs, as a rule: beginning costs a few times as much."""
        return self.tariff.looking if self.reads_incoming else 0

    @property
    def fetching_units(self) -> int:
        """What fetching one message that came in costs at least; a large one costs it again."""
        return self.tariff.fetching if self.reads_incoming else 0

    # -- sending in one step -----------------------------------------------------------------------

    @abstractmethod
    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        """Hand a message over at once. sender and recipients: the bare addresses of its envelope.

        Raises OutcomeUnknown unless the answer is certain; NotAllowed where the provider does not
        let this mailbox send as this address.
        """

    # -- sending by way of a draft -----------------------------------------------------------------

    def create_draft(self, mime: bytes) -> str:
        """Leave the message as a draft; nothing is sent by it. Returns the draft's id."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def restore_draft(self, draft_id: str, mime: bytes) -> str:
        """Put the frozen bytes back into a draft that lay open to its owner's hands.

        Returns the draft's id, which may be a new one. Raises Gone where it vanished.
        """
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def send_draft(self, draft_id: str) -> Receipt:
        """Send a draft. Raises OutcomeUnknown unless the answer is certain; Gone if it vanished."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def delete_draft(self, draft_id: str) -> None:
        """Take a draft away, so that nobody sends by hand what was refused or cancelled."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def has_draft(self, draft_id: str) -> bool:
        """Whether the draft is still there unsent: if so, it had not left."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def find_draft(self, token: str) -> str | None:
        """The id of the draft that bears our dispatch header, if one was left behind."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def drafts(self) -> Iterator[tuple[str, str]]:
        """The drafts, newest first: id, and our dispatch header or nothing."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    # -- what it shows afterwards ------------------------------------------------------------------

    def addresses(self) -> list[ListedAddress]:
        """The send-from addresses the provider lists for this mailbox."""
        raise Cannot(f"{self.label} does not say from which addresses a mailbox may send.")

    def candidates(self) -> list[str]:
        """Further addresses of the account that it may perhaps send from, to be tried out."""
        return []

    def sent_copy(self, message_id: str) -> SentCopy:
        """What the copy in Sent says. Raises Gone when there is none, OnItsWay while there is none
        yet."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def find_sent(self, token: str, about: datetime) -> SentCopy | None:
        """The sent copy that bears our dispatch header, taken about a moment by this machine's
        clock."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def find_sent_since(self, token: str, moment: datetime, looks: int) -> SentCopy | None:
        """The sent copy that bears our dispatch header, whenever it left since a moment.

        looks: how many have been before; each goes on, further back, where the one before ended.
        """
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def sent_since(self, moment: datetime) -> list[str]:
        """The ids of all that was sent since a moment, newest first."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    # -- what comes in -----------------------------------------------------------------------------

    def arrivals(self, mark: str, *, since: datetime) -> Arrivals:
        """What has come in after a mark; one look asks for one page of it.

        mark: as the look before returned it; "" begins, with what is no older than since. A mark
        that the provider has forgotten begins again there, and says so (relisted).
        """
        raise Cannot(f"{self.label} does not let the portal read what comes in.")

    def incoming(self, message_id: str, *, whole: bool = True) -> Incoming:
        """One message that came in; its headers alone unless it is wanted whole and may be read.

        Raises Gone where it has been deleted meanwhile.
        """
        raise Cannot(f"{self.label} does not let the portal read what comes in.")
