"""What people, answering machines and everybody else write to the office."""

from email.header import Header
from email.utils import format_datetime

from portal.incoming import Sort
from tests.incoming.mails import OFFICE, OWN, Builder, Fields, Labelled, Story, block, text_part

PLAIN = ("Content-Type", "text/plain; charset=utf-8")


def _from(one: Story, subject: str, *more: tuple[str, str]) -> Fields:
    return [
        ("Return-Path", f"<{one.to}>"),
        ("From", f"{Header(one.name, 'utf-8').encode()} <{one.to}>"),
        ("To", OFFICE),
        ("Subject", Header(subject, "utf-8").encode()),
        ("Date", format_datetime(one.later)),
        ("Message-ID", f"<{one.number:x}.mail@{one.domain}>"),
        *more,
        PLAIN,
    ]


def _about(one: Story) -> list[tuple[str, str]]:
    return [("In-Reply-To", one.message_id), ("References", f"<older@x.example> {one.message_id}")]


ANSWERED = ("Re", "RE", "AW", "SV", "RV", "Antw", "Odp", "回复", "返信")
SAID = (
    "Thanks Olive, paid this morning.",
    "Could you send it to my new address? The old mailbox is full.",
    "My e-mail was down: delivery failed for three days. All good now.",
    "I'm away until Monday but can you come on Tuesday?",
    "Your message was held in our spam filter, I only saw it now. Please confirm Friday.",
    "550 dollars is what we agreed, not 560.",
)


def reply(one: Story) -> Labelled:
    subject = f"{one.chance.choice(ANSWERED)}: {one.subject}"
    quoted = f"\n\nOn Monday Bright Spark wrote:\n> {one.subject}\n> user unknown to none\n"
    body = one.chance.choice(SAID) + quoted
    return Labelled(
        block(_from(one, subject, *_about(one)), body), Sort.REPLY, "reply", {}, one.message_id
    )


def reply_without_reference(one: Story) -> Labelled:
    """Some phones write none."""
    subject = f"{one.chance.choice(ANSWERED)}: {one.subject}"
    return Labelled(block(_from(one, subject), one.chance.choice(SAID)), Sort.REPLY, "bare reply")


def reply_through_a_group(one: Story) -> Labelled:
    """office@ is a group: whatever comes in bears a list's marks."""
    more = [("List-ID", "<office.brightspark.example>"), ("Precedence", "list"), *_about(one)]
    raw = block(_from(one, f"Re: {one.subject}", *more), one.chance.choice(SAID))
    return Labelled(raw, Sort.REPLY, "group", {}, one.message_id)


def reply_about_a_bounce(one: Story) -> Labelled:
    subject = one.chance.choice(("Re: Undeliverable: your quote", "RE: Automatic reply: roof"))
    raw = block(_from(one, subject, *_about(one)), "It works again. <jo@homes.example> was wrong.")
    return Labelled(raw, Sort.REPLY, "about a bounce", {}, one.message_id)


AWAY = (
    *("Automatic reply: {}", "Out of Office: {}", "Autoreply: {}", "Automatische Antwort: {}"),
    *("Réponse automatique : {}", "Respuesta automática: {}", "Risposta automatica: {}"),
    *("Automatisch antwoord: {}", "Resposta automática: {}", "Autosvar: {}", "自動応答: {}"),
    *("自动答复: {}", "Автоматический ответ: {}", "Odpowiedź automatyczna: {}"),
)


def away(one: Story) -> Labelled:
    subject = one.chance.choice(AWAY).format(one.subject)
    marks = [
        [("Auto-Submitted", "auto-replied"), ("Return-Path", "<>")],
        [("X-Autoreply", "yes"), ("Precedence", "bulk")],
        [("Auto-Submitted", "auto-generated"), *_about(one)],
        [("X-Auto-Response-Suppress", "All"), *_about(one)],
        _about(one),
    ]
    body = "I am away until Monday. Mail is not read; 550 visitors are expected at our fair."
    raw = block(_from(one, subject, *one.chance.choice(marks)), body)
    return Labelled(raw, Sort.AUTO_REPLY, "away")


def ticket(one: Story) -> Labelled:
    more = [("Auto-Submitted", "auto-replied"), *_about(one)]
    subject = f"[#{one.number}] We have received your e-mail"
    raw = block(_from(one, subject, *more), "Your request was filed. We will answer soon.")
    return Labelled(raw, Sort.AUTO_REPLY, "ticket", {}, one.message_id)


def left_the_company(one: Story) -> Labelled:
    more = [("Auto-Submitted", "auto-replied"), *_about(one)]
    body = f"I no longer work here. Please write to {one.other}. Mailbox not monitored."
    raw = block(_from(one, f"Automatic reply: {one.subject}", *more), body)
    return Labelled(raw, Sort.AUTO_REPLY, "left", {}, one.message_id)


CHALLENGES = (
    "Your message to {} is being held until you confirm that you are a person: https://c.example/7",
    "To have your message delivered, please click https://c.example/7 once. Verify you are human.",
    "Votre message est en attente. Pour le livrer, cliquez sur https://c.example/7 pour confirmer.",
    "This is a one-time request. Your email to {} was quarantined; reply to this mail to verify "
    "it.",
)


def challenge(one: Story) -> Labelled:
    body = one.chance.choice(CHALLENGES).format(one.to)
    more = [("Auto-Submitted", "auto-replied"), *_about(one)]
    raw = block(_from(one, f"Please confirm: {one.subject}", *more), body)
    return Labelled(raw, Sort.CHALLENGE, "challenge", {}, one.message_id)


SUBJECTS = (
    *("Quote for a new hot water unit?", "Job at 12 Hill St on Thursday", "Leaking tap"),
    *("Delivery of your pipes on Friday", "Failed boiler, please come", "Returned keys"),
    *("Blocked drain", "Warning: gas smell in flat 4", "Rejected tiles", "Holiday house: leak"),
)


def enquiry(one: Story) -> Labelled:
    raw = block(
        _from(one, one.chance.choice(SUBJECTS)), "Hello, can somebody have a look? Ring 5550 1234."
    )
    return Labelled(raw, Sort.OTHER, "enquiry")


NEWS = (
    *("Your weekly trade news", "Delivery failed? Our couriers never do", "Mailbox full of offers"),
    *("Verify your email address", "Your parcel could not be delivered", "Payment rejected"),
)


def newsletter(one: Story) -> Labelled:
    more = [
        ("List-Unsubscribe", "<https://news.example/u>"),
        ("Precedence", "bulk"),
        *([("Auto-Submitted", "auto-generated")] if one.number % 2 else []),
    ]
    body = "Click https://news.example/confirm to verify your e-mail address and read on."
    raw = block(_from(one, one.chance.choice(NEWS), *more), body)
    return Labelled(raw, Sort.OTHER, "newsletter")


def own_mail(one: Story) -> Labelled:
    """A colleague answers within the company, or the office reads its own copy."""
    head = [(name, value) for name, value in _from(one, f"Re: {one.subject}", *_about(one))]
    sender = one.chance.choice(OWN)
    head = [(name, f"<{sender}>" if name == "From" else value) for name, value in head]
    return Labelled(block(head, one.chance.choice(SAID)), Sort.OTHER, "own")


def forwarded_bounce(one: Story) -> Labelled:
    """Tom passes on what came back to him: nobody's copy failed just now."""
    body = (
        "Olive, what is this?\n\n---------- Forwarded message ---------\nFrom: Mail Delivery "
        "System\n"
        f"Your message to {one.to} could not be delivered: 550 5.1.1 user unknown\n"
    )
    head = [("From", "Tom Baker <tom@brightspark.example>"), ("To", OFFICE)]
    head.append(("Subject", "Fwd: Undelivered Mail Returned to Sender"))
    return Labelled(block([*head, PLAIN], body), Sort.OTHER, "forwarded")


def alert(one: Story) -> Labelled:
    """A machine that writes about something else."""
    head = [
        ("From", "Backup <noreply@backup.example>"),
        ("To", OFFICE),
        ("Subject", one.chance.choice(("Backup failed", "Your mailbox is almost full", "Invoice"))),
        ("Auto-Submitted", "auto-generated"),
    ]
    raw = "\r\n".join(f"{name}: {value}" for name, value in head).encode() + b"\r\n"
    return Labelled(raw + text_part("See the portal for details."), Sort.OTHER, "alert")


PEOPLE: list[Builder] = [
    reply,
    reply_without_reference,
    reply_through_a_group,
    reply_about_a_bounce,
]
MACHINES: list[Builder] = [away, ticket, left_the_company, challenge]
REST: list[Builder] = [enquiry, newsletter, own_mail, forwarded_bounce, alert]
