"""What receiving servers answer when they do not take a mail, with what a person makes of it."""

from dataclasses import dataclass

from portal.incoming import Reason


@dataclass(frozen=True)
class Answer:
    """code: of SMTP; status: RFC 3463, empty where the server gives none."""

    code: int
    status: str
    words: str
    reason: Reason

    def said(self, email: str) -> str:
        status = f"{self.status} " if self.status else ""
        return f"{self.code} {status}{self.words.replace('@@', email)}"

    @property
    def field(self) -> str:
        """What a careful server puts into Status."""
        return self.status or f"{self.code // 100}.0.0"


def _of(reason: Reason, *rows: tuple[int, str, str]) -> list[Answer]:
    return [Answer(code, status, words, reason) for code, status, words in rows]


#: Readers were written with these in view.
ANSWERS = [
    *_of(
        Reason.NO_SUCH_ADDRESS,
        (550, "5.1.1", "<@@>: Recipient address rejected: User unknown in virtual mailbox table"),
        (550, "5.1.1", "The email account that you tried to reach does not exist. Please try"),
        (550, "5.1.1", "<@@>... User unknown"),
        (
            550,
            "5.1.10",
            "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        ),
        (550, "5.4.1", "Recipient address rejected: Access denied. AS(201806281)"),
        (550, "5.5.0", "Requested action not taken: mailbox unavailable"),
        (550, "", "No such user here"),
        (550, "", "Unrouteable address"),
        (550, "5.7.1", "<@@>: Recipient address rejected: user unknown"),
        (553, "5.3.0", "<@@>... No such user"),
        (554, "", "delivery error: dd This user doesn't have a yahoo.com account (@@)"),
        (511, "5.1.1", "sorry, no mailbox here by that name"),
        (550, "5.1.0", "Address rejected."),
        (550, "5.0.0", "<@@>: invalid address"),
    ),
    *_of(
        Reason.NO_SUCH_DOMAIN,
        (550, "5.1.2", "Host or domain name not found"),
        (
            550,
            "5.4.4",
            "Host or domain name not found. Name service error for name=gone.example type=A",
        ),
        (550, "5.4.310", "DNS domain does not exist [Message=InfoDomainNonexistent]"),
        (554, "5.1.10", "Domain does not accept mail (nullMX)"),
    ),
    *_of(
        Reason.ADDRESS_CLOSED,
        (550, "5.2.1", "The email account that you tried to reach is disabled."),
        (554, "", "This mailbox has been suspended"),
        (550, "5.7.1", "<@@>: account is no longer active"),
        (
            554,
            "30",
            "Sorry, your message to @@ cannot be delivered. This mailbox is disabled (554.30).",
        ),
    ),
    *_of(
        Reason.MAILBOX_FULL,
        (552, "5.2.2", "The email account that you tried to reach is over quota."),
        (554, "5.2.2", "mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException"),
        (552, "", "Requested mail action aborted: exceeded storage allocation"),
        (452, "4.2.2", "<@@> Mailbox is full / Out of storage space"),
        (550, "5.1.1", "<@@>: user is over quota"),
        (550, "5.7.1", "Quota exceeded (mailbox for user is full)"),
    ),
    *_of(
        Reason.TOO_LARGE,
        (552, "5.3.4", "Message size exceeds fixed limit"),
        (552, "5.2.3", "message too large for this recipient"),
        (552, "", "Message size exceeds maximum permitted"),
    ),
    *_of(
        Reason.SENDER_NOT_ALLOWED,
        (550, "5.7.26", "This mail has been blocked because the sender is unauthenticated."),
        (
            550,
            "5.7.1",
            "Unauthenticated email from brightspark.example is not accepted due to DMARC",
        ),
        (550, "5.7.23", "The message was rejected because of Sender Policy Framework violation"),
        (550, "5.7.1", "SPF check failed: 192.0.2.7 is not allowed to send mail"),
        (553, "5.1.8", "<office@brightspark.example>... Domain of sender address does not exist"),
        (550, "5.7.25", "The IP address sending this message does not have a PTR record"),
        (550, "5.7.60", "SMTP; Client does not have permissions to send as this sender"),
        (554, "5.7.5", "Permanent error evaluating DMARC policy"),
    ),
    *_of(
        Reason.RESTRICTED,
        (550, "5.7.133", "RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required"),
        (550, "5.7.1", "RESOLVER.RST.NotAuthorized; not authorized"),
        (550, "5.7.1", "RESOLVER.RST.AuthRequired; authentication required"),
    ),
    *_of(
        Reason.BLOCKED,
        (
            550,
            "5.7.1",
            "Service unavailable; Client host [192.0.2.7] blocked using zen.dnsbl.example",
        ),
        (554, "5.7.1", "This message has been blocked because it is spam"),
        (550, "5.7.606", "Access denied, banned sending IP [192.0.2.7]"),
        (554, "", "Message not accepted for policy reasons."),
        (550, "", "Message rejected due to poor sender reputation"),
        (550, "5.7.1", "Our system has detected that this message is likely unsolicited mail."),
        (
            421,
            "4.7.0",
            "[TSS04] Messages from 192.0.2.7 temporarily deferred due to user complaints",
        ),
    ),
    *_of(
        Reason.CONTENT,
        (552, "5.7.0", "This message was blocked because its content presents a potential issue"),
        (554, "5.6.0", "Message contains a virus (Test.File)"),
        (550, "5.7.1", "Attachment type not allowed: .exe"),
    ),
    *_of(
        Reason.RELAY_DENIED,
        (550, "5.7.1", "Unable to relay for @@"),
        (554, "5.7.1", "<@@>: Relay access denied"),
        (550, "", "relay not permitted"),
        (550, "5.7.64", "TenantAttribution; Relay Access Denied"),
    ),
    *_of(
        Reason.GAVE_UP,
        (550, "5.4.300", "Message expired -> 451 4.4.1 connection refused"),
        (450, "4.4.7", "Delivery time expired"),
        (550, "", "retry time not reached for any host after a long failure period"),
        (450, "4.4.1", "connect to mx.homes.example[192.0.2.9]:25: Connection timed out"),
        (450, "4.4.1", "No answer from host: connection refused"),
    ),
    *_of(
        Reason.GREYLISTED,
        (450, "4.7.1", "<@@>: Recipient address rejected: Greylisted, see the postmaster's page"),
        (451, "", "Greylisting in action, please come back later"),
    ),
    *_of(
        Reason.TEMPORARY,
        (451, "4.3.0", "Temporary lookup failure"),
        (451, "4.7.500", "Server busy. Please try again later"),
        (421, "", "Too many concurrent connections from this client"),
    ),
    *_of(
        Reason.LOOP,
        (554, "5.4.14", "Hop count exceeded - possible mail loop ATTR34"),
        (554, "5.4.6", "Too many hops"),
        (550, "", "mail for homes.example loops back to myself"),
    ),
    *_of(Reason.UNKNOWN, (554, "5.0.0", "transaction failed"), (550, "5.3.0", "see log file 7731")),
]

#: Nobody looked at these while the readers were written.
HELD_OUT = [
    *_of(
        Reason.NO_SUCH_ADDRESS,
        (550, "", "Invalid recipient @@"),
        (550, "5.1.1", "unknown or illegal alias: @@"),
        (550, "", "The mail address @@ is not known here"),
        (550, "5.2.0", "<@@>: Mailbox not found"),
        (550, "", "Recipient not in our directory"),
        (550, "5.1.1", "Benutzer unbekannt"),
        (550, "5.1.3", "bad destination mailbox address syntax"),
        (550, "5.1.6", "Destination mailbox has moved, no forwarding address"),
    ),
    *_of(Reason.NO_SUCH_DOMAIN, (550, "", "Unknown host: no MX or A record for the domain")),
    *_of(
        Reason.ADDRESS_CLOSED,
        (550, "", "Account @@ has been deactivated"),
        (550, "5.2.1", "Mailbox inactive for more than one year"),
    ),
    *_of(
        Reason.MAILBOX_FULL,
        (552, "5.2.2", "the recipient's inbox has no space left"),
        (554, "", "The user has exceeded the mailbox quota"),
        (522, "", "<@@>: storage quota reached, ask the owner to delete mail"),
    ),
    *_of(Reason.TOO_LARGE, (554, "", "message exceeds the size limit of 10240 kB")),
    *_of(
        Reason.SENDER_NOT_ALLOWED,
        (550, "5.7.1", "DKIM signature did not verify and the domain's policy asks us to reject"),
        (550, "5.7.509", "Access denied, sending domain does not pass DMARC verification"),
        (550, "", "Reverse DNS of your server does not match"),
        (550, "", "Sender verify failed"),
    ),
    *_of(
        Reason.BLOCKED,
        (554, "", "Your address is listed in our blocklist"),
        (550, "5.7.1", "rejected by the anti-spam gateway"),
        (571, "", "Message refused by the recipient's junk filter"),
    ),
    *_of(Reason.RELAY_DENIED, (553, "", "sorry, that domain isn't in my list; we do not relay")),
    *_of(
        Reason.GAVE_UP,
        (450, "4.4.2", "lost connection while sending; giving up after 5 days"),
        (550, "", "Unable to deliver within the maximum queue time"),
    ),
    *_of(Reason.TEMPORARY, (432, "4.3.2", "not accepting network messages, retry later")),
]
