"""Shapes that nobody looked at while the readers were written: they say how well those guess."""

from portal.incoming import Sort
from tests.incoming.answers import HELD_OUT, Answer
from tests.incoming.mails import (
    Builder,
    Labelled,
    Story,
    block,
    from_machine,
    multipart,
    part,
    recipient_block,
    report,
    text_part,
)
from tests.incoming.verdicts import verdict_of

PLAIN = ("Content-Type", "text/plain; charset=utf-8")


def _answer(one: Story) -> Answer:
    return one.chance.choice(HELD_OUT)


def _bounce(one: Story, raw: bytes, how: str, answer: Answer, *, ties: bool = True) -> Labelled:
    told = {one.to: verdict_of(answer.reason)}
    return Labelled(raw, Sort.BOUNCE, how, told, one.message_id if ties else "")


def domino(one: Story) -> Labelled:
    answer = _answer(one)
    said = answer.said(one.to)
    subject = f"DELIVERY FAILURE: {said[:40]}"
    body = (
        f"Your message\n\n  Subject: {one.subject}\n\nwas not delivered to:\n\n  {one.to}\n\n"
        f"because:\n\n  {said}\n"
    )
    head = from_machine(one, f"Postmaster@{one.domain}", subject, PLAIN)
    return _bounce(one, block(head, body), "domino", answer, ties=False)


def groupwise(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        "The message that you sent was undeliverable to the following:\n"
        f"\t{one.to} ({answer.said(one.to)})\n"
    )
    head = from_machine(one, f"Mailer-Daemon@{one.domain}", "Message status - undeliverable")
    raw = multipart(
        head, "multipart/mixed", [text_part(body), part("message/rfc822", one.original())]
    )
    return _bounce(one, raw, "groupwise", answer)


def imail(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        f"User mailbox problem: <{one.to}>\n  {answer.said(one.to)}\n\nOriginal message "
        f"follows.\n\n" + one.original()
    )
    head = from_machine(
        one,
        f"Postmaster <postmaster@{one.domain}>",
        "Undeliverable Mail",
        ("X-Mailer", "<SMTP32 v8>"),
    )
    return _bounce(one, block([*head, PLAIN], body), "imail", answer)


def mdaemon(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        "The attached message had PERMANENT fatal delivery errors.\n\n"
        f"--- Session Transcript ---\n Wed 09:10: --> RCPT To:<{one.to}>\n"
        f" Wed 09:10: <-- {answer.said(one.to)}\n--- End Transcript ---\n"
    )
    head = from_machine(
        one, f"MDaemon at {one.domain} <MDaemon@{one.domain}>", "Permanent Delivery Failure"
    )
    raw = multipart(
        head, "multipart/mixed", [text_part(body), part("message/rfc822", one.original())]
    )
    return _bounce(one, raw, "mdaemon", answer)


def courier(one: Story) -> Labelled:
    answer = _answer(one)
    words = (
        f"This is a delivery status notification from mx.{one.domain},\nrunning the Courier mail "
        f"server.\n\n"
        "                           UNDELIVERABLE MAIL\n\n"
        "Your message to the following recipients cannot be delivered:\n\n"
        f"<{one.to}>:\n>>> RCPT TO:<{one.to}>\n<<< {answer.said(one.to)}\n"
    )
    head = from_machine(one, f"postmaster@{one.domain}", "NOTICE: mail delivery status.")
    rows = recipient_block(one.to, "failed", "5.0.0", answer.said(one.to))
    raw = report(one, head, words, [rows], returned="text/rfc822-headers")
    return _bounce(one, raw, "courier", answer)


def opensmtpd(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n"
        "    An error has occurred while attempting to deliver a message for\n"
        f"    the following list of recipients:\n\n{one.to}: {answer.said(one.to)}\n\n"
        "    Below is a copy of the original message:\n\n" + one.original()
    )
    head = from_machine(
        one, f"Mailer Daemon <MAILER-DAEMON@{one.domain}>", "Delivery status notification: error"
    )
    return _bounce(one, block([*head, PLAIN], body), "opensmtpd", answer)


def zoho(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        "This message was created automatically by mail delivery software.\n"
        "A message that you sent could not be delivered to one or more of its recipients. "
        "This is a permanent error.\n\n"
        f"{one.to} Invalid Address, ERROR_CODE :{answer.code}, ERROR_CODE "
        f":{answer.said(one.to)[4:]}\n\n\n" + one.original()
    )
    head = from_machine(
        one, "mailer-daemon@mail.zoho.example", "Undelivered Mail Returned to Sender"
    )
    raw = multipart(head, "multipart/mixed", [text_part(body, "quoted-printable")])
    # "Invalid Address" stands there whatever the server said; its words are what counts.
    return _bounce(one, raw, "zoho", answer)


def powermta(one: Story) -> Labelled:
    answer = _answer(one)
    words = (
        f"Hello, this is the mail server on mx.{one.domain}.\n\nYour message could not be "
        f"delivered to:\n\n{one.to}: {answer.said(one.to)}\n"
    )
    rows = recipient_block(one.to, "failed", f"{answer.field} (see below)", answer.said(one.to))
    head = from_machine(one, f"postmaster@{one.domain}", "Delivery report")
    return _bounce(
        one, report(one, head, words, [rows], returned=""), "powermta", answer, ties=False
    )


def unnamed_german(one: Story) -> Labelled:
    answer = _answer(one)
    body = (
        "Guten Tag,\n\nIhre Nachricht konnte leider nicht zugestellt werden an:\n\n"
        f"    {one.to}\n\nDer Empfangsserver meldet:\n    {answer.said(one.to)}\n\nMit "
        f"freundlichem Gruß\nIhr Mailserver\n"
    )
    subject = "=?utf-8?q?Unzustellbare_Nachricht?="
    head = from_machine(
        one, f"Mail-System <noreply@{one.domain}>", subject, ("Auto-Submitted", "auto-replied")
    )
    raw = multipart(
        head, "multipart/mixed", [text_part(body, "base64"), part("message/rfc822", one.original())]
    )
    return _bounce(one, raw, "german", answer)


def delayed_by_courier(one: Story) -> Labelled:
    words = (
        "                           DELAYED MAIL\n\nYour message to the following recipients has "
        "been "
        f"delayed and will be tried again:\n\n<{one.to}>:\n    connection refused\n"
    )
    rows = recipient_block(one.to, "delayed", "4.0.0", "")
    head = from_machine(one, f"postmaster@{one.domain}", "NOTICE: mail delivery status.")
    return Labelled(report(one, head, words, [rows]), Sort.DELAY, "courier", {}, one.message_id)


def away_in_afrikaans(one: Story) -> Labelled:
    head = [
        ("From", f"{one.name.encode('ascii', 'replace').decode()} <{one.to}>"),
        ("To", "office@brightspark.example"),
        ("Subject", f"Buite kantoor: {one.subject}"),
        ("Auto-Submitted", "auto-replied (vacation)"),
        ("In-Reply-To", one.message_id),
        PLAIN,
    ]
    return Labelled(
        block(head, "Ek is met verlof tot Maandag.\n"),
        Sort.AUTO_REPLY,
        "verlof",
        {},
        one.message_id,
    )


BUILDERS: list[Builder] = [
    *(domino, groupwise, imail, mdaemon, courier, opensmtpd, zoho, powermta, unnamed_german),
    *(delayed_by_courier, away_in_afrikaans),
]
