"""The operator's commands do what they say, and say what is wrong with what was typed."""

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from portal import accounts, instance, links, mailboxes, restoration
from portal.config import Config
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.people import company
from tests import factories
from tests.test_mailboxes import account, grant
from tests.visitor import visitor


def run(app: Flask, *words: str) -> Result:
    with app.app_context():  # as the flask command does it
        done = app.test_cli_runner().invoke(args=words)
        db.session.remove()
    return done


def add(app: Flask, email: str, name: str, password: str, *more: str) -> Result:
    return run(app, "user-add", email, name, "--password", password, *more)


def test_a_person_added_can_sign_in(app: Flask) -> None:
    done = add(app, " Kim@BrightSpark.example ", "Kim Ray", "long enough", "--manager")
    assert done.exit_code == 0, done.output
    with app.app_context():
        kim = accounts.sign_in("kim@brightspark.example", "long enough")
        assert kim is not None and kim.is_manager and kim.name == "Kim Ray"
    assert add(app, "sam@brightspark.example", "Sam", "long enough").exit_code == 0
    with app.app_context():
        sam = accounts.sign_in("sam@brightspark.example", "long enough")
        assert sam is not None and not sam.is_manager


@pytest.mark.parametrize(
    ("email", "name", "password", "said"),
    [
        ("kim", "Kim", "long enough", "not an e-mail address"),
        ("kim@x.example\nBcc: y", "Kim", "long enough", "line break"),
        ("kim@brightspark.example", "  ", "long enough", "person's name"),
        ("kim@brightspark.example", "Kim", "short", "at least 10 characters"),
        ("OLIVE@brightspark.example", "Kim", "long enough", "already"),
    ],
)
def test_a_person_who_cannot_be_added_is_refused_in_one_sentence(
    app: Flask, email: str, name: str, password: str, said: str
) -> None:
    with app.app_context():
        factories.olive()
    done = add(app, email, name, password)
    assert done.exit_code == 1
    assert said in done.output and "Traceback" not in done.output
    with app.app_context():
        assert [one.name for one in accounts.active_people()] == ["Olive Park"]


def test_a_person_who_is_ended_is_out_at_once_and_their_mail_is_named(app: Flask) -> None:
    tom = visitor(app, factories.tom)
    assert tom.get("/profile").status_code == 200
    with app.app_context():
        factories.office_mailbox()
        for _ in range(2):
            factories.asked()
        db.session.remove()
    ended = run(app, "user-end", " Tom@brightspark.example")
    assert ended.exit_code == 0, ended.output
    assert "Tom Baker (tom@brightspark.example) may not sign in any more" in ended.output
    assert "2 messages they asked for wait, and will leave unless cancelled." in ended.output
    assert "No manager is left" in ended.output
    assert "/sign-in" in tom.get("/profile").headers["Location"]
    with app.app_context():
        assert accounts.sign_in("tom@brightspark.example", factories.PASSWORD) is None
        waiting = db.session.scalars(select(Dispatch.state)).all()
        assert waiting == [State.QUEUED] * 2
        db.session.remove()
    assert "was ended before" in run(app, "user-end", "tom@brightspark.example").output
    refused = run(app, "user-end", "nobody@brightspark.example")
    assert refused.exit_code == 1 and "Nobody signs in as nobody@" in refused.output


def test_a_new_password_ends_sessions_and_only_a_word_more_lets_the_ended_back(app: Flask) -> None:
    tom = visitor(app, factories.tom)

    def give(password: str, *more: str) -> Result:
        words = ("user-password", "tom@brightspark.example", "--password", password)
        return run(app, *words, *more)

    short = give("short")
    assert short.exit_code == 1 and "at least 10 characters" in short.output
    assert tom.get("/profile").status_code == 200
    assert give("a whole new one").exit_code == 0
    assert "/sign-in" in tom.get("/profile").headers["Location"]
    with app.app_context():
        assert accounts.sign_in("tom@brightspark.example", "a whole new one") is not None
        assert accounts.sign_in("tom@brightspark.example", factories.PASSWORD) is None
    run(app, "user-end", "tom@brightspark.example")
    again = add(app, "tom@brightspark.example", "Tom", "long enough")
    assert again.exit_code == 1 and "Tom Baker (tom@" in again.output
    assert "was ended before" in again.output and "--again" in again.output
    refused = give("another new one")
    assert refused.exit_code == 1 and "--again" in refused.output
    with app.app_context():
        assert accounts.sign_in("tom@brightspark.example", "another new one") is None
    assert give("another new one", "--again").exit_code == 0
    with app.app_context():
        assert accounts.sign_in("tom@brightspark.example", "another new one") is not None


def test_the_company_is_made_once_and_renamed(app: Flask) -> None:
    for name in ("Bright Spark", "Bright Spark Plumbing"):
        assert run(app, "company", name).exit_code == 0
        with app.app_context():
            assert company().name == name
    assert run(app, "company", " ").exit_code == 1


def test_keys_are_rotated_by_command_and_a_missing_one_is_named(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        factories.bright_spark()
        mailboxes.connect(account(), grant(), owner=None)
    config: Config = app.config["PORTAL"]

    def keys(**named: bytes) -> None:
        update = {"TOKEN_KEYS": named}
        monkeypatch.setitem(app.config, "PORTAL", config.model_copy(update=update))

    keys(new=bytes(32))
    refused = run(app, "rotate-keys")
    assert refused.exit_code == 1
    assert "TOKEN_KEYS does not fit" in refused.output and "test" in refused.output
    keys(new=bytes(32), **config.TOKEN_KEYS)
    assert "2 tokens sealed anew" in run(app, "rotate-keys").output
    assert "0 tokens sealed anew" in run(app, "rotate-keys").output
    keys(new=bytes(32))
    with app.app_context():
        mailboxes.refuse_unreadable()
        db.session.remove()


def test_a_sweep_says_whether_redis_heard_it(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(app, "sweep").output == "Swept.\n"
    config: Config = app.config["PORTAL"]
    away = config.model_copy(update={"REDIS_URL": "redis://127.0.0.1:1/0"})
    monkeypatch.setitem(app.config, "PORTAL", away)
    done = run(app, "sweep")
    assert (done.exit_code, done.output) == (0, "Swept, but Redis did not answer.\n")


@pytest.mark.sqlite_only
def test_a_restored_database_is_confirmed_by_command(app: Flask) -> None:
    assert "Mail may leave" in run(app, "instance").output
    with app.app_context():
        instance._stop("The portal's records were restored from a backup.", {}, {})
    assert "Say `instance confirm`" in run(app, "instance").output
    assert "a worker looks through Sent" in run(app, "instance", "confirm", "--yes").output
    with app.app_context():
        restoration.settle()
    assert "epoch 2. Mail may leave" in run(app, "instance").output
    again = run(app, "instance", "confirm", "--yes")
    assert again.exit_code == 1 and "Nothing waits to be confirmed" in again.output


def test_the_demo_company_is_seeded_into_an_empty_database_only(app: Flask) -> None:
    first = run(app, "seed")
    assert first.exit_code == 0 and "Olive Park" in first.output
    with app.app_context():
        people = len(accounts.active_people())
    assert run(app, "seed").exit_code == 0
    with app.app_context():
        assert len(accounts.active_people()) == people


@pytest.mark.parametrize("command", ["user-password", "user-end"])
def test_what_ends_sessions_ends_links_as_well(app: Flask, command: str) -> None:
    with app.app_context():
        user, by = factories.tom(), factories.olive()
        key = links.make(links.Purpose.PASSWORD, user, by)
    words = ["--password", "another long password"] if command == "user-password" else []
    done = run(app, command, "tom@brightspark.example", *words)
    assert done.exit_code == 0, done.output
    with app.app_context():
        accounts.let_back(factories.tom())
        with pytest.raises(links.Ended):
            links.open(key, links.Purpose.PASSWORD)
