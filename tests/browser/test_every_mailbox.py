"""All four kinds of mailbox in one company, in a real browser: each connected, and each sends.

Google, Microsoft 365, a mail server by its password, and the portal's own relay. Of each document
the page says that its From was read back from the sent copy, or that nothing can prove it there.
"""

import pytest
from playwright.sync_api import Locator, Page, expect

from portal.sandbox.microsoft import MicrosoftServer
from portal.sandbox.post import Post
from tests.browser.steps import (
    PATIENCE,
    AtWork,
    accepted,
    connect_google,
    connect_microsoft,
    give_password,
    let_come_from,
    name_server,
    send,
)
from tests.factories import ACCOUNTS, OFFICE
from tests.office365 import Microsoft
from tests.servers import Live

OLIVE = "olive@brightspark.example"
JOBS = "jobs@brightspark.example"
RELAYED = "post@brightspark.example"


@pytest.fixture
def microsoft(local_microsoft: MicrosoftServer) -> Microsoft:
    return Microsoft(local_microsoft.url)


@pytest.fixture
def besides(microsoft: Microsoft, post: Post) -> dict[str, str]:
    """A portal that Microsoft knows, too, one mail server of the company's, and a relay."""
    post.desk.add(JOBS, "the crew's password")
    post.desk.add("relay", "its password", senders=(RELAYED,))
    return {
        **microsoft.settings,
        "SMTP_ALLOWED_HOSTS": f"127.0.0.1:{post.tls_port}",
        "SMTP_CA_FILE": str(post.authority),
        "RELAY_URL": f"smtps://relay:its%20password@127.0.0.1:{post.tls_port}",
        "RELAY_FROM": RELAYED,
    }


@pytest.fixture
def olive(at_work: AtWork) -> Page:
    """The office manager, with nothing but her phone."""
    return at_work("olive", 360)


def test_one_document_leaves_through_each_and_its_page_says_what_is_proven(
    olive: Page, demo: Live, microsoft: Microsoft, post: Post
) -> None:
    main = olive.locator("main")

    # The company's mailbox at Microsoft 365, and its shared one, which is tried once.
    connect_microsoft(demo, olive)
    olive.get_by_role("link", name="Add an address").click()
    olive.get_by_label("Address").fill(ACCOUNTS)
    olive.get_by_role("button", name="Continue").click()
    olive.get_by_role("button", name="Try it").click()
    expect(olive.locator("#walk")).to_contain_text("It works", timeout=PATIENCE)
    let_come_from(demo, olive, "quote", "specified", ACCOUNTS)

    # Her own mailbox, at Google.
    connect_google(demo, olive, OLIVE, purpose="own")
    let_come_from(demo, olive, "purchase_order", "user")

    # One at another provider; a wrong password is said beside its field, and nothing is sent.
    name_server(demo, olive, JOBS, post.tls_port)
    give_password(olive, "not the password")
    expect(main).to_contain_text("does not accept this user name")
    give_password(olive, "the crew's password")
    expect(main).to_contain_text(f"Connected: {JOBS}")
    let_come_from(demo, olive, "job", "specified", JOBS)

    # And the relay, against the advice.
    olive.goto(f"{demo.url}/settings/approaches")
    expect(main).to_contain_text("Not recommended")
    olive.get_by_role("button", name="Use it all the same").click()
    expect(main).to_contain_text("Invoices now leave through the portal’s own relay")
    assert post.desk.accepted == [] and accepted(demo) == []

    proven(send(demo, olive, "quote", "QU-0009"), "Microsoft 365", ACCOUNTS)
    proven(send(demo, olive, "purchase_order", "PO-0023"), "Gmail", OLIVE)
    not_provable(send(demo, olive, "job", "JOB-0017"), "the mail server", JOBS)
    not_provable(send(demo, olive, "invoice", "INV-0042"), "the portal’s relay", RELAYED)

    # What each has taken: one document and no more, from the address that was promised.
    trial, quote = microsoft.accepted()
    assert OFFICE in trial["to"] and "mary.lee@homes.example" in quote["to"]
    assert f"<{ACCOUNTS}>" in quote["from"] and quote["sender"] == ""
    (order,) = accepted(demo)
    assert f"<{OLIVE}>" in order["from"] and "orders@copperco.example" in order["to"]
    job, invoice = post.desk.accepted
    assert (job.user, job.sender) == (JOBS, JOBS) and f"<{JOBS}>" in job.header("From")
    assert (invoice.user, invoice.sender) == ("relay", RELAYED)
    assert f"<{RELAYED}>" in invoice.header("From")
    assert job.recipients == invoice.recipients == ("mary.lee@homes.example",)


def proven(card: Locator, provider: str, sender: str) -> None:
    expect(card).to_contain_text(f"Accepted by {provider}", timeout=PATIENCE)
    expect(card).to_contain_text("The sent copy says From: ", timeout=PATIENCE)
    expect(card).to_contain_text(f"<{sender}>. That is what was asked.")


def not_provable(card: Locator, provider: str, sender: str) -> None:
    expect(card).to_contain_text(f"Accepted by {provider}", timeout=PATIENCE)
    expect(card).to_contain_text(f"It was handed over as From: {sender}.", timeout=PATIENCE)
    expect(card).to_contain_text("nothing proves it")
