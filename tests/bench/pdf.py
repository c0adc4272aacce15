"""How many documents a second are drawn: a 15-line invoice with a logo, on one and two threads.

Run as `python -m tests.bench.pdf`. Compare ratios between runs on one machine, not absolutes.
"""

from __future__ import annotations

import datetime as dt
import io
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from PIL import Image

from portal.documents import pdf
from portal.documents.facts import CompanyFacts, DocumentFacts, LineFacts, PartyFacts

WARM_UP = 10
DOCUMENTS = 150


def invoice(serial: int) -> DocumentFacts:
    return DocumentFacts(
        kind="invoice",
        number=f"INV-{serial:04d}",
        title="New hot water unit",
        issued=dt.date(2026, 11, 23),
        due=dt.date(2026, 12, 7),
        currency="AUD",
        party=PartyFacts(f"Customer {serial}", address_lines=("8 Acacia Street", "Newtown")),
        company=CompanyFacts("Bright Spark Plumbing", logo=LOGO, bank_lines=("BSB 062-000",)),
        lines=tuple(
            LineFacts(
                f"Copper pipe, fittings and lagging, part {part} of job {serial}",
                Decimal(part),
                "each",
                Decimal("72.27"),
                Decimal(10),
            )
            for part in range(1, 16)
        ),
    )


def _logo() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((600, 200)).convert("RGB").save(file, "PNG")
    return file.getvalue()


LOGO = _logo()


def rate(threads: int, first: int) -> float:
    """Documents a second, each of them different, so that nothing is drawn from memory."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(pdf.draw, map(invoice, range(first, first + WARM_UP))))
        documents = [invoice(first + WARM_UP + serial) for serial in range(DOCUMENTS)]
        started = time.perf_counter()
        list(pool.map(pdf.draw, documents))
        return DOCUMENTS / (time.perf_counter() - started)


def main() -> None:
    started = time.perf_counter()
    size = len(pdf.draw(invoice(0)))
    print(f"first PDF {1000 * (time.perf_counter() - started):.0f} ms, {size / 1000:.0f} kB")
    for threads in (1, 2):
        print(f"{threads} thread(s): {rate(threads, 10_000 * threads):.0f} PDFs a second")


if __name__ == "__main__":
    main()
