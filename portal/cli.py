"""Commands for the operator: flask user-add, sweep, rotate-keys, seed, sandbox."""

import click
from flask import Flask

from portal import accounts, delivery, mailboxes
from portal.extensions import db
from portal.vault import CannotOpen


def register(app: Flask) -> None:
    """Add the commands to `flask --app portal.wsgi`."""
    for command in (user_add, company_name, sweep, rotate_keys, seed, sandbox):
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
    if accounts.with_email(address) is not None:
        raise click.ClickException(f"Somebody signs in as {address} already.")
    role = accounts.Role.MANAGER if manager else accounts.Role.STAFF
    accounts.add_user(address, name, role, password)
    db.session.commit()
    click.echo(f"{name} can sign in as {address}.")


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


@click.command("rotate-keys")
def rotate_keys() -> None:
    """Seal every stored token under the first of TOKEN_KEYS."""
    try:
        click.echo(f"{mailboxes.rotate_keys()} tokens sealed anew.")
    except CannotOpen as problem:
        raise click.ClickException(f"TOKEN_KEYS does not fit: {problem}.") from None


@click.command("seed")
def seed() -> None:
    """Fill an empty database with the demo company."""
    from portal.seeds import seed_demo

    for one in seed_demo(db.session):
        click.echo(f"{one.name}: {one.email} / {one.password}")


@click.command("sandbox")
@click.option("--port", default=8025, show_default=True)
@click.option("--store", default="var/local-google.sqlite3", show_default=True)
def sandbox(port: int, store: str) -> None:
    """Start the local Google alone."""
    from portal.sandbox.server import serve

    serve("127.0.0.1", port, store)
