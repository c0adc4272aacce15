"""Commands for the operator: people, company, sweep, instance, check, relay, keys and the demo."""

from collections.abc import Iterator

import click
from flask import Flask

from portal import accounts, delivery, dispatch, instance, links, mailboxes, restoration
from portal.extensions import db
from portal.vault import CannotOpen


def register(app: Flask) -> None:
    """Add the commands to `flask --app portal.wsgi`."""
    people = (user_add, user_password, user_end)
    for command in (*people, company_name, sweep, store, check, relay, rotate_keys, seed, sandbox):
        app.cli.add_command(command)


@click.command("user-add")
@click.argument("email")
@click.argument("name")
@click.option("--manager", is_flag=True, help="May decide for the whole company.")
@click.password_option()
def user_add(email: str, name: str, manager: bool, password: str) -> None:
    """Add a person who can sign in."""
    from portal.people import BadAddress, clean_address

    try:
        address = clean_address(email)
    except BadAddress as problem:
        raise click.ClickException(str(problem)) from None
    if not name.strip():
        raise click.ClickException("Write the person's name after the address.")
    if len(password) < accounts.SHORTEST_PASSWORD:
        raise click.ClickException(
            f"The password needs at least {accounts.SHORTEST_PASSWORD} characters."
        )
    _refuse_known(address)
    role = accounts.Role.MANAGER if manager else accounts.Role.STAFF
    accounts.add_user(address, name, role, password)
    db.session.commit()
    click.echo(f"{name} can sign in as {address}.")


@click.command("user-password")
@click.argument("email")
@click.option("--again", is_flag=True, help="Let somebody back in who was ended.")
@click.password_option()
def user_password(email: str, again: bool, password: str) -> None:
    """Give a person a new password, sign them out everywhere, and end their links."""
    user = _known(email)
    if not user.active and not again:
        raise click.ClickException(f"{_was_ended(user)} Add --again to let them back in.")
    try:
        accounts.give_password(user, password)
    except accounts.CannotChange as problem:
        raise click.ClickException(str(problem)) from None
    links.end_all(user)
    accounts.let_back(user)
    click.echo(f"{user.name} signs in as {user.email} with the new password. Old sessions ended.")


@click.command("user-end")
@click.argument("email")
def user_end(email: str) -> None:
    """Let a person sign in no more. What they sent, and what still waits, stays."""
    user = _known(email)
    if not user.active:
        raise click.ClickException(_was_ended(user))
    links.end_all(user)
    accounts.end(user)
    click.echo(f"{user.name} ({user.email}) may not sign in any more, and is signed out.")
    for sentence in _left_behind(user):
        click.echo(sentence)


def _known(email: str) -> accounts.User:
    user = accounts.with_email(email)
    if user is None:
        raise click.ClickException(f"Nobody signs in as {email.strip()}.")
    return user


def _refuse_known(address: str) -> None:
    user = accounts.with_email(address)
    if user is not None and user.active:
        raise click.ClickException(f"Somebody signs in as {address} already.")
    if user is not None:
        hint = f"`user-password {address} --again` lets them back in."
        raise click.ClickException(f"{_was_ended(user)} {hint}")


def _was_ended(user: accounts.User) -> str:
    return f"{user.name} ({user.email}) was ended before, and may not sign in."


def _left_behind(user: accounts.User) -> Iterator[str]:
    """What the operator may want to do after somebody has gone."""
    waiting = dispatch.asked_by(user)
    if waiting:
        what = "message they asked for waits" if waiting == 1 else "messages they asked for wait"
        yield f"{waiting} {what}, and will leave unless cancelled."
    box = mailboxes.mailbox_of(user)
    if box is not None and box.health != mailboxes.Health.DISCONNECTED:
        yield f"Their own mailbox {box.email} stays connected, for that mail alone."
    if not accounts.managers():
        yield "No manager is left: add one with `user-add … --manager`."


@click.command("company")
@click.argument("name")
def company_name(name: str) -> None:
    """Name the company of this installation, making it when there is none."""
    from portal.people import Company

    if not name.strip():
        raise click.ClickException("Write the company's name.")
    found = db.session.query(Company).first()
    if found is None:
        found = Company(name=name)
        db.session.add(found)
    found.name = name
    db.session.commit()
    click.echo(f"This installation belongs to {name}.")


@click.command("sweep")
def sweep() -> None:
    """One round of the sweeper, then a ring at the worker's door."""
    from portal import queueing

    delivery.sweep()
    click.echo("Swept." if queueing.ring() else "Swept, but Redis did not answer.")


@click.group("instance", invoke_without_command=True)
@click.pass_context
def store(context: click.Context) -> None:
    """Say whether this database is the one that was confirmed, and how a look through Sent goes."""
    if context.invoked_subcommand is None:
        instance.may_work()
        for sentence in _standing():
            click.echo(sentence)


@store.command("confirm")
@click.option(
    "--copy", is_flag=True, help="It is a copy, for trying out: it never sends this mail."
)
@click.confirmation_option(prompt="Is that so? It decides whether customers get mail twice.")
def confirm(copy: bool) -> None:
    """Say that a restored or moved database is the real one, or with --copy that it is a copy."""
    instance.may_work()
    said = restoration.take_as_copy if copy else restoration.take_as_real
    if not said(None):
        raise click.ClickException("Nothing waits to be confirmed.")
    for sentence in _standing():
        click.echo(sentence)


def _standing() -> Iterator[str]:
    one = instance.this()
    if one.stopped_at is None:
        yield f"Confirmed, epoch {one.epoch}. Mail may leave."
    elif not one.choice:
        yield f"Nothing is sent: {one.stopped_why} {restoration.waiting()} messages wait."
        yield "Say `instance confirm` if this is the real portal, with --copy if it is a copy."
    else:
        yield "Nothing is sent yet: a worker looks through Sent for what has left already."
    for look in restoration.looks().values():
        count = f"{look.read} of {look.total} read, {look.settled} settled"
        lost = f", {len(look.strangers)} not known here" if look.strangers else ""
        yield f"{look.mailbox}: {look.state}, {count}{lost}. {look.problem}".rstrip()


@click.group("check")
def check() -> None:
    """Find out how something stands."""


@check.command("delivery")
@click.argument("number")
@click.option("--look-up", is_flag=True, help="Ask name servers whether the domains take mail.")
@click.pass_context
def delivery_of(context: click.Context, number: str, look_up: bool) -> None:
    """Say whether a customer got a document, by its number, and how that was found out.

    Ends with 0 where it arrived or most likely did, with 1 where it did not or nobody knows, and
    with 2 where no document has that number.
    """
    from portal import inquiry
    from portal.documents import with_number

    document = with_number(number)
    if document is None:
        raise click.UsageError(f"No document has the number {number.strip()}.")
    found = inquiry.inquire(document)
    for line in inquiry.in_plain_text(found.facts, found.verdict, found.steps):
        click.echo(line)
    for one in inquiry.reached(found.facts) if look_up else ():
        click.echo(f"{one.email}: {one.words}")
    context.exit(0 if found.verdict.kind.is_good else 1)


@click.command("relay")
def relay() -> None:
    """Bring the portal's own relay to what RELAY_URL and RELAY_FROM say, and say what that is."""
    from portal import approaches
    from portal.relay import keep

    box = keep()
    rules = approaches.relayed()
    used = f"{rules} rules name it" if rules != 1 else "1 rule names it"
    click.echo(f"The relay sends from {box.email}; {used}." if box else f"There is none; {used}.")


@click.command("rotate-keys")
def rotate_keys() -> None:
    """Seal every stored token under the first of TOKEN_KEYS."""
    try:
        click.echo(f"{mailboxes.rotate_keys()} tokens sealed anew.")
    except CannotOpen as problem:
        raise click.ClickException(f"TOKEN_KEYS does not fit: {problem}.") from None


@click.command("seed")
@click.option("--large", is_flag=True, help="40 staff, 2,000 properties and a month's invoices.")
def seed(large: bool) -> None:
    """Fill an empty database with the demo company."""
    from portal.seeds import seed_demo
    from portal.seeds.large import seed_large

    for one in seed_demo(db.session):
        click.echo(f"{one.name}: {one.email} / {one.password}")
    if large:
        seed_large(click.echo)


@click.command("sandbox")
@click.option("--microsoft", is_flag=True, help="The local Microsoft instead.")
@click.option("--port", type=int, help="Default: 8025, or 8026 for the local Microsoft.")
@click.option("--store", help="Default: a file of its own in var/.")
def sandbox(microsoft: bool, port: int | None, store: str | None) -> None:
    """Start the local Google alone, or the local Microsoft."""
    from portal.sandbox import microsoft as local_microsoft
    from portal.sandbox import server as local_google

    if microsoft:
        kept = store or "var/local-microsoft.sqlite3"
        local_microsoft.serve("127.0.0.1", port or 8026, kept)
    else:
        local_google.serve("127.0.0.1", port or 8025, store or "var/local-google.sqlite3")
