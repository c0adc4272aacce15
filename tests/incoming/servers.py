"""Reports as the mail servers of the field write them, the readers' own ground."""

from collections.abc import Callable
from email.header import Header
from html import escape

from portal.incoming import Sort, Verdict
from tests.incoming.answers import ANSWERS, Answer
from tests.incoming.mails import (
    OFFICE,
    Builder,
    Fields,
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
AUTO = ("Auto-Submitted", "auto-replied")
ENCODINGS = ("8bit", "quoted-printable", "base64")


def any_answer(one: Story) -> Answer:
    return one.chance.choice(ANSWERS)


def bounced(one: Story, raw: bytes, how: str, answer: Answer, *, ties: bool = True) -> Labelled:
    told = {one.to: verdict_of(answer.reason)}
    return Labelled(raw, Sort.BOUNCE, how, told, one.message_id if ties else "")


def encoded(text: str) -> str:
    return Header(text, "utf-8").encode()


# -- by RFC 3464 ----------------------------------------------------------------------------------


def google(one: Story) -> Labelled:
    answer = any_answer(one)
    said = answer.said(one.to)
    words = (
        f"** Address not found **\n\nYour message wasn't delivered to {one.to} because the address "
        f"couldn't be found, or is unable to receive mail.\n\nThe response was:\n{said}\n"
    )
    if answer.reason.value != "no_such_address":
        words = (
            f"** Message not delivered **\n\nThere was a problem delivering your message to "
            f"{one.to}."
            f" See the technical details below.\n\nThe response was:\n{said}\n"
        )
    head = from_machine(
        one,
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        AUTO,
        ("X-Failed-Recipients", one.to),
        ("References", one.message_id),
        ("In-Reply-To", one.message_id),
    )
    page = text_part(f"<h1>{escape(words)}</h1>", "quoted-printable", "html")
    related = multipart([], "multipart/alternative", [text_part(words), page], "inner")
    about = f"Reporting-MTA: dns; googlemail.com\r\nX-Original-Message-ID: {one.message_id}\r\n"
    status = f"{about}\r\n{recipient_block(one.to, 'failed', answer.field, said)}"
    parts = [
        related,
        part("message/delivery-status", status),
        part("message/rfc822", one.original()),
    ]
    kind = "multipart/report; report-type=delivery-status"
    return bounced(one, multipart(head, kind, parts), "google", answer)


#: How Exchange calls it, and what it tells people, in the languages of its offices.
EXCHANGE = {
    "Undeliverable": "Your message couldn't be delivered to the recipients listed below.",
    "Unzustellbar": "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:",
    "Non remis": "Échec de la remise à ces destinataires ou groupes :",
    "No se puede entregar": "No se pudo entregar el mensaje a estos destinatarios o grupos:",
    "Non recapitabile": "Recapito non riuscito per i seguenti destinatari o gruppi:",
    "Onbestelbaar": "De bezorging aan de volgende geadresseerden is mislukt:",
    "Não é possível entregar": "Falha na entrega a estes destinatários ou grupos:",
    "Olevererbart": "Det gick inte att leverera till följande mottagare:",
    "Недоставлено": "Не удалось выполнить доставку следующим получателям:",
    "配信不能": "次の受信者またはグループへの配信に失敗しました:",
    "无法传递": "未能传递给以下收件人或组:",
}
DIAGNOSTICS = {
    "Undeliverable": "Diagnostic information for administrators:",
    "Unzustellbar": "Diagnoseinformationen für Administratoren:",
    "Non remis": "Informations de diagnostic pour les administrateurs :",
    "No se puede entregar": "Información de diagnóstico para administradores:",
    "配信不能": "管理者向けの診断情報:",
}


def office365(one: Story) -> Labelled:
    answer = any_answer(one)
    called, told = one.chance.choice(list(EXCHANGE.items()))
    words = f"{told}\n\n{one.to}\n\nRemote server returned '{answer.said(one.to)}'\n"
    head = from_machine(
        one,
        "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@brightspark.example>",
        encoded(f"{called}: {one.subject}"),
        AUTO,
        ("In-Reply-To", one.message_id),
    )
    rows = recipient_block(one.to, "failed", answer.field, answer.said(one.to))
    how = one.chance.choice(ENCODINGS)
    return bounced(one, report(one, head, words, [rows], how=how), "office365", answer)


def postfix(one: Story) -> Labelled:
    answer = any_answer(one)
    said = answer.said(one.to)
    words = (
        f"This is the mail system at host mx.{one.domain}.\n\nI'm sorry to have to inform you that "
        "your message could not\nbe delivered to one or more recipients. It's attached below.\n\n"
        f"<{one.to}>: host mx.{one.domain}[192.0.2.9] said: {said} (in reply to RCPT TO command)\n"
    )
    sender = f"MAILER-DAEMON@mx.{one.domain} (Mail Delivery System)"
    head = from_machine(one, sender, "Undelivered Mail Returned to Sender", AUTO)
    rows = recipient_block(one.to, "failed", answer.field, said)
    raw = report(one, head, words, [rows], returned=one.chance.choice(RETURNED))
    return bounced(one, raw, "postfix", answer)


RETURNED = ("message/rfc822", "text/rfc822-headers", "message/global-headers")


def sendmail(one: Story) -> Labelled:
    answer = any_answer(one)
    said = answer.said(one.to)
    words = (
        "The original message was received at Mon, 2 Nov 2026 09:00:00 +1100\nfrom localhost\n\n"
        f"   ----- The following addresses had permanent fatal errors -----\n<{one.to}>\n"
        f"    (reason: {said})\n\n   ----- Transcript of session follows -----\n"
        f"... while talking to mx.{one.domain}.:\n>>> DATA\n<<< {said}\n"
    )
    sender = f"Mail Delivery Subsystem <MAILER-DAEMON@mx.{one.domain}>"
    head = from_machine(one, sender, "Returned mail: see transcript for details", AUTO)
    rows = recipient_block(one.to, "failed", answer.field, said)
    return bounced(one, report(one, head, words, [rows]), "sendmail", answer)


def ses(one: Story) -> Labelled:
    answer = any_answer(one)
    words = (
        "An error occurred while trying to deliver the mail to the following recipients:\n"
        f"{one.to}\n"
    )
    sender = "MAILER-DAEMON@ap-southeast-2.amazonses.example"
    head = from_machine(one, sender, "Delivery Status Notification (Failure)")
    rows = recipient_block(one.to, "failed", answer.field, answer.said(one.to))
    return bounced(one, report(one, head, words, [rows]), "ses", answer)


def gateway(one: Story) -> Labelled:
    """Its report in a wrapping of its own, the status a nameless file."""
    answer = any_answer(one)
    sender = f"Mail Gateway <postmaster@gateway.{one.domain}>"
    head = from_machine(one, sender, f"[Postmaster] Email Delivery Failure: {one.subject}")
    status = f"Reporting-MTA: dns; gateway.{one.domain}\r\n\r\n" + recipient_block(
        one.to, "failed", answer.field, answer.said(one.to)
    )
    kind = one.chance.choice(("text/plain; name=details.txt", "application/octet-stream"))
    parts = [text_part("A banner of the gateway."), part(kind, status)]
    parts.append(part("message/rfc822", one.original()))
    wrapped = multipart([], "multipart/report; report-type=delivery-status", parts, "in")
    both = [text_part("External sender. Take care."), wrapped]
    return bounced(one, multipart(head, "multipart/mixed", both), "gateway", answer)


def several(one: Story) -> Labelled:
    """One arrived, one is late, one failed: the one that failed is the news."""
    answer = any_answer(one)
    rows = [
        recipient_block("jo@homes.example", "relayed", "2.1.5", "250 2.1.5 OK"),
        recipient_block(one.other, "delayed", "4.4.1", "451 4.4.1 no answer"),
        recipient_block(one.to, "failed", answer.field, answer.said(one.to)),
    ]
    sender = f"Mail Delivery System <MAILER-DAEMON@mx.{one.domain}>"
    head = from_machine(one, sender, "Mail delivery report", AUTO)
    return bounced(one, report(one, head, "See below.", rows), "several", answer)


def passed_on(one: Story) -> Labelled:
    """Mary has her mail passed on, and the other address failed: she is whom we wrote to."""
    answer = any_answer(one)
    rows = f"Original-Recipient: rfc822;{one.to}\r\n" + recipient_block(
        "mary@elsewhere.example", "failed", answer.field, answer.said("mary@elsewhere.example")
    )
    sender = f"Mail Delivery System <MAILER-DAEMON@mx.{one.domain}>"
    head = from_machine(one, sender, "Undelivered Mail Returned to Sender", AUTO)
    return bounced(one, report(one, head, "See below.", [rows]), "passed on", answer)


# -- in texts of their own ------------------------------------------------------------------------


def _text(one: Story, head: Fields, body: str) -> bytes:
    how = one.chance.choice(ENCODINGS)
    part_of_it = text_part(body, how)
    kind, _, rest = part_of_it.partition(b"\r\n\r\n")
    headers = "".join(f"{name}: {value}\r\n" for name, value in head).encode()
    return headers + kind + b"\r\n\r\n" + rest


def exim(one: Story) -> Labelled:
    answer = any_answer(one)
    body = (
        "This message was created automatically by mail delivery software.\n\nA message that you "
        "sent could not be delivered to one or more of its\nrecipients. This is a permanent error. "
        f"The following address(es) failed:\n\n  {one.to}\n    host mx.{one.domain} [192.0.2.9]\n"
        f"    SMTP error from remote mail server after RCPT TO:<{one.to}>:\n    "
        f"{answer.said(one.to)}\n"
        "\n------ This is a copy of the message, including all the headers. ------\n\n"
        + one.original()
    )
    sender = f"Mail Delivery System <Mailer-Daemon@mx.{one.domain}>"
    subject = "Mail delivery failed: returning message to sender"
    head = from_machine(one, sender, subject, AUTO, ("X-Failed-Recipients", one.to))
    return bounced(one, _text(one, head, body), "exim", answer)


def qmail(one: Story) -> Labelled:
    answer = any_answer(one)
    body = (
        f"Hi. This is the qmail-send program at mx.{one.domain}.\nI'm afraid I wasn't able to "
        f"deliver "
        "your message to the following addresses.\nThis is a permanent error; I've given up. Sorry "
        "it "
        f"didn't work out.\n\n<{one.to}>:\n192.0.2.9 does not like recipient.\nRemote host said: "
        f"{answer.said(one.to)}\nGiving up on 192.0.2.9.\n\n--- Below this line is a copy of the "
        "message.\n\n" + one.original()
    )
    head = from_machine(one, f"MAILER-DAEMON@mx.{one.domain}", "failure notice")
    return bounced(one, _text(one, head, body), "qmail", answer)


def yahoo(one: Story) -> Labelled:
    answer = any_answer(one)
    body = (
        "Sorry, we were unable to deliver your message to the following address.\n\n"
        f"<{one.to}>:\n{answer.said(one.to)}\n\n--- Below this line is a copy of the message.\n\n"
        + one.original()
    )
    head = from_machine(one, "MAILER-DAEMON@yahoo.example", "Failure Notice")
    return bounced(one, _text(one, head, body), "yahoo", answer)


def old_google(one: Story) -> Labelled:
    answer = any_answer(one)
    body = (
        f"Delivery to the following recipient failed permanently:\n\n     {one.to}\n\nTechnical "
        "details of permanent failure: \nGoogle tried to deliver your message, but it was rejected "
        "by "
        f"the server for the recipient domain {one.domain} by mx.{one.domain}.\n\nThe error that "
        f"the "
        f"other server returned was:\n{answer.said(one.to)}\n\n\n----- Original message -----\n\n"
        + one.original()
    )
    sender = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    head = from_machine(
        one, sender, "Delivery Status Notification (Failure)", ("X-Failed-Recipients", one.to)
    )
    return bounced(one, _text(one, head, body), "old google", answer)


def exchange_text(one: Story) -> Labelled:
    """The report of an Exchange whose parts were lost on the way."""
    answer = any_answer(one)
    called = one.chance.choice(list(DIAGNOSTICS))
    body = (
        f"{EXCHANGE[called]}\n\n{one.to}\n\n{DIAGNOSTICS[called]}\n\nGenerating server: "
        f"EX1.{one.domain}\n\n{one.to}\nRemote Server returned '{answer.said(one.to)}'\n\nOriginal "
        f"message headers:\n\nReceived: from EX2.{one.domain}\nFrom: <{OFFICE}>\nTo: <{one.to}>\n"
        f"Message-ID: {one.message_id}\n"
    )
    head = from_machine(one, f"postmaster@{one.domain}", encoded(f"{called}: {one.subject}"))
    return bounced(one, _text(one, head, body), "exchange text", answer)


def old_exchange(one: Story) -> Labelled:
    answer = any_answer(one)
    body = (
        f"Your message\n\n  To:      {one.to}\n  Subject: {one.subject}\n  Sent:    Mon, 2 Nov "
        f"2026\n\n"
        f"did not reach the following recipient(s):\n\n{one.to} on Mon, 2 Nov 2026 09:00:00 +1100\n"
        f"    {answer.said(one.to)}\n"
    )
    head = from_machine(
        one, f"System Administrator <postmaster@{one.domain}>", f"Undeliverable: {one.subject}"
    )
    raw = multipart(
        head, "multipart/mixed", [text_part(body), part("message/rfc822", one.original())]
    )
    return bounced(one, raw, "old exchange", answer)


def full_notice(one: Story) -> Labelled:
    """No report at all: an answering machine that says the mailbox is full."""
    body = (
        f"Your message to {one.to} could not be delivered: the mailbox is full. Try again later.\n"
    )
    head = from_machine(one, f"postmaster@{one.domain}", "Mailbox full", AUTO, PLAIN)
    told = {one.to: Verdict.SOFT}
    return Labelled(block(head, body), Sort.BOUNCE, "full", told)


# -- late, limited, arrived -----------------------------------------------------------------------


def late(one: Story) -> Labelled:
    words = (
        f"** Delivery incomplete **\n\nThere was a temporary problem delivering your message to "
        f"{one.to}. Gmail will retry for 46 more hours. You'll be notified if the delivery fails "
        "permanently.\n"
    )
    sender = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    head = from_machine(one, sender, "Delivery Status Notification (Delay)", AUTO)
    rows = recipient_block(one.to, "delayed", "4.4.1", "451 4.4.1 no answer from host")
    return Labelled(report(one, head, words, [rows]), Sort.DELAY, "google", {}, one.message_id)


def late_exim(one: Story) -> Labelled:
    body = (
        "This message was created automatically by mail delivery software.\nA message that you "
        "sent "
        "has not yet been delivered to one or more of its\nrecipients after more than 24 hours on "
        "the "
        f"queue on mx.{one.domain}.\n\nThe message identifier is: 1abcde-000\n\nThe address to "
        f"which "
        f"the message has not yet been delivered is:\n\n  {one.to}\n    Delay reason: Connection "
        f"timed "
        "out\n\nNo action is required on your part. Delivery attempts will continue for\nsome "
        "time.\n"
    )
    sender = f"Mail Delivery System <Mailer-Daemon@mx.{one.domain}>"
    subject = "Warning: message 1abcde-000 delayed 24 hours"
    return Labelled(
        block([*from_machine(one, sender, subject, AUTO), PLAIN], body), Sort.DELAY, "exim"
    )


LATE_SUBJECTS = (
    *("Delivery delayed", "Zustellung verzögert", "Remise retardée", "Entrega retrasada"),
    *("Consegna ritardata", "Bezorging vertraagd", "配信遅延", "Доставка задерживается"),
)


def late_exchange(one: Story) -> Labelled:
    called = one.chance.choice(LATE_SUBJECTS)
    rows = recipient_block(one.to, "delayed", "4.4.7", "")
    sender = "Microsoft Outlook <postmaster@brightspark.example>"
    head = from_machine(one, sender, encoded(f"{called}: {one.subject}"), AUTO)
    return Labelled(report(one, head, called, [rows]), Sort.DELAY, "exchange", {}, one.message_id)


LIMITS = (
    "550 5.4.5 Daily user sending limit exceeded. For more information on limits see the help.",
    "550 5.1.90 Your message can't be sent because you've reached your daily limit for recipients",
    "550 5.7.705 Access denied, tenant has exceeded threshold",
    "554 You have reached a limit for sending mail. Your message was not sent.",
)


def limited(one: Story) -> Labelled:
    said = one.chance.choice(LIMITS)
    words = "You have reached a limit for sending mail. Your message was not sent.\n"
    sender = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    head = from_machine(
        one, sender, "Delivery Status Notification (Failure)", ("X-Failed-Recipients", one.to)
    )
    told = {one.to: Verdict.POLICY}
    if one.number % 2:
        raw = block([*head, PLAIN], words)
        return Labelled(raw, Sort.LIMIT, "google text", told)
    status = said.split()[1] if said[4].isdigit() else "5.0.0"
    raw = report(one, head, words, [recipient_block(one.to, "failed", status, said)])
    return Labelled(raw, Sort.LIMIT, "report", told, one.message_id)


def arrived(one: Story) -> Labelled:
    rows = recipient_block(
        one.to, one.chance.choice(("delivered", "relayed", "expanded")), "2.0.0", "250 OK"
    )
    sender = f"Mail Delivery System <MAILER-DAEMON@mx.{one.domain}>"
    head = from_machine(one, sender, "Successful Mail Delivery Report", AUTO)
    return Labelled(
        report(one, head, "It arrived.", [rows]), Sort.DELIVERED, "dsn", {}, one.message_id
    )


def was_read(one: Story) -> Labelled:
    status = (
        f"Final-Recipient: rfc822;{one.to}\r\nOriginal-Message-ID: {one.message_id}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    head = [("From", f"<{one.to}>"), ("To", OFFICE), ("Subject", f"Read: {one.subject}")]
    kind = "multipart/report; report-type=disposition-notification"
    parts = [text_part("Your message was read."), part("message/disposition-notification", status)]
    return Labelled(multipart(head, kind, parts), Sort.DELIVERED, "mdn", {}, one.message_id)


BOUNCES: list[Builder] = [
    *(google, office365, postfix, sendmail, ses, gateway, several, passed_on),
    *(exim, qmail, yahoo, old_google, exchange_text, old_exchange, full_notice),
]
OTHERS: list[Builder] = [late, late_exim, late_exchange, limited, arrived, was_read]
Make = Callable[[Story], Labelled]
