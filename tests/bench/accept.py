"""Accept: completing a batch of 10,000, until it is answered, all frozen, and the first mail gone.

Real workers, real quotas of one mailbox, a drawn PDF in each mail. Beside it stands what the same
PDFs take by themselves, drawn by as many threads as the machine has cores.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP

from sqlalchemy import func, select

from portal import batches, queueing
from portal.batches import Batch
from portal.children import Child
from portal.dispatch import Dispatch
from portal.documents import Document, pdf
from portal.envelope import Attachment, Mailable, seal
from portal.extensions import db
from tests import factories
from tests.bench import batch, drain, mails
from tests.bench.ground import CORES, LONG, Ground, ground, workers
from tests.bench.row import Row

INVOICES = batch.HOW_MANY
STORES = ("sqlite", "postgresql") if LONG else ("sqlite",)
DRAWN = 300
SEALED = 40
LATENCY = 0.08
PATIENCE = 900


def rows() -> Iterator[Row]:
    for store in STORES:
        with ground(store, LATENCY, real_quotas=True) as place:
            mails.connect(1)
            yield from completed(place, store)
    yield written()


def completed(place: Ground, store: str) -> Iterator[Row]:
    olive = factories.olive()
    batch.write_documents(olive)
    draft = batches.make("Month end", olive)
    batches.fill(draft, select(Document.id), olive)
    batch.check(draft, olive)
    drawn = seconds_for_pdfs() / DRAWN
    with workers(place) as started:
        began = time.time()
        batches.complete(draft, olive, draft.version)
        queueing.ring()
        answered = time.time() - began
        drain.wait_for(lambda: place.sink.state()["accepted"] > 0, started)
        frozen = time.time() - began if until_frozen(draft, started) else float(PATIENCE)
        first = place.sink.accepted()[0][0] - began
    floor = drawn * INVOICES
    name = f"completing {INVOICES:,} invoices, {store}: answered"
    yield Row(name, f"{answered:.2f} s", figure=answered, mark="<= 2")
    yield Row("  first mail gone", f"{first:.2f} s", figure=first, mark="<= 5")
    yield Row("  all frozen, PDFs included", f"{frozen:.0f} s", figure=frozen, mark="<= 120")
    name = "  all frozen ÷ the PDFs by themselves"
    yield Row(name, f"{frozen:.0f} s", f"{floor:.0f} s", frozen / floor)


def until_frozen(draft: Batch, started: list[Child]) -> bool:
    """Wait until every invoice has its dispatch; False when that took too long."""
    query = select(func.count()).select_from(Dispatch).where(Dispatch.batch_id == draft.id)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = db.session.scalar(query)
        db.session.commit()
        if found == INVOICES:
            return True
        assert not any(one.has_ended() for one in started)
        time.sleep(0.5)
    return False


def seconds_for_pdfs() -> float:
    """Some of the batch's own PDFs, drawn and nothing else."""
    some = db.session.scalars(select(Document).order_by(Document.id).limit(DRAWN)).unique()
    facts = [one.facts() for one in some]
    db.session.commit()
    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(pdf.draw, facts[:10]))
        began = time.perf_counter()
        list(threads.map(pdf.draw, facts))
        return time.perf_counter() - began


# -- one message written ---------------------------------------------------------------------------


def written() -> Row:
    """The reference mail by the portal, and by the standard library alone."""
    paper = os.urandom(mails.PDF_BYTES)
    html = f"<html><body><p>{mails.TEXT * 20}</p></body></html>"
    portal = fastest(lambda: sealed(paper, html))
    library = fastest(lambda: by_the_library(paper, html))
    seen, beside = f"{1000 * portal:.2f} ms", f"{1000 * library:.2f} ms"
    return Row("writing one mail ÷ the standard library", seen, beside, portal / library, "<= 0.5")


def sealed(paper: bytes, html: str) -> bytes:
    sender, to = Mailable("office@brightspark.example", mails.COMPANY), Mailable(factories.MARY, "")
    enclosed = [Attachment("INV-0042.pdf", "application/pdf", paper)]
    return seal(
        token="0" * 32,
        message_id=f"<{'0' * 32}@brightspark.example>",
        sender=sender,
        to=[to],
        cc=[],
        subject=mails.SUBJECT,
        text=mails.TEXT,
        html=html,
        attachments=enclosed,
    ).mime


def by_the_library(paper: bytes, html: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = f"{mails.COMPANY} <office@brightspark.example>"
    message["To"] = factories.MARY
    message["Subject"] = mails.SUBJECT
    message["Message-ID"] = f"<{'0' * 32}@brightspark.example>"
    message.set_content(mails.TEXT)
    message.add_alternative(html, subtype="html")
    message.add_attachment(paper, maintype="application", subtype="pdf", filename="INV-0042.pdf")
    return message.as_bytes()


def fastest(deed: Callable[[], object]) -> float:
    """Seconds of the quickest of many."""
    times = []
    for _ in range(SEALED):
        began = time.perf_counter()
        deed()
        times.append(time.perf_counter() - began)
    return min(times)
