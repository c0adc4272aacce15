"""Peers: the same mail, the same sink, the same minute, sent by what others would take.

The portal sends by way of a draft and reads the copy back (three calls, two of them one after the
other); so does the RQ job. Those that speak SMTP have one delivery to make, which waits for the
latency once. A peer that this machine lacks is named, and missed.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from portal.children import end_all
from tests import servers
from tests.bench import drain, perjob, postfix
from tests.bench.drain import Rate, watch
from tests.bench.ground import CORES, Ground, ground
from tests.bench.mails import reference_mail
from tests.bench.row import Row

VENV = servers.ROOT / ".venv-bench"
#: django-post_office as it comes, and as it was found fastest: threads, batch, processes.
AS_IT_COMES, TUNED = (5, 100, 1), (32, 5000, CORES)
WARM_UP = 4
MAILBOXES, SECONDS = 100, 8


class Absent(Exception):
    """This machine does not have the peer; the message says what is missing."""


#: What the portal is to be times as fast as, by latency (ms); what comes with SMTP has no mark yet.
MARKS = {
    (80, "one RQ job per mail, 16 forks"): ">= 10",
    (80, "django-post_office"): ">= 10",
    (80, "django-post_office, tuned"): ">= 2.5",
    (0, "django-post_office, tuned"): ">= 4",
    (0, "Postfix, accept to deliver"): ">= 1.5",
}


def rows() -> Iterator[Row]:
    for latency in (80, 0):
        seen = measured(latency, MAILBOXES, SECONDS)
        ours = seen.pop("portal")
        assert isinstance(ours, Rate)
        for name, peer in seen.items():
            what, mark = f"portal ÷ {name}, {latency} ms", MARKS.get((latency, name), "")
            mine = f"{ours.rate:.0f} mails/s"
            if isinstance(peer, str):
                yield Row(what, mine, f"absent: {peer}", mark=mark)
            else:
                beside = f"{peer.rate:.0f} mails/s"
                yield Row(what, mine, beside, ours.rate / peer.rate, mark)


def measured(latency: int, mailboxes: int, seconds: float) -> dict[str, Rate | str]:
    """The portal and each peer, one after the other; a sentence for one that is absent."""
    words = ["--store", "postgresql", "--latency", str(latency), "--seconds", str(seconds)]
    words += ["--mailboxes", str(mailboxes)]
    seen: dict[str, Rate | str] = {}
    with ground("postgresql", latency / 1000) as place:
        seen["portal"] = drain.measure(place, drain.arguments().parse_args(words))
        for name, peer in PEERS.items():
            place.sink.reset()
            try:
                seen[name] = peer(place, latency, seconds)
            except Absent as problem:
                seen[name] = str(problem)
    return seen


def enough(most: float, seconds: float) -> int:
    """Mails for a run of somebody who sends at most so many a second."""
    return int(most * (seconds + WARM_UP + drain.WARM_UP))


# -- one RQ job for each mail ----------------------------------------------------------------------


def one_job_each(place: Ground, latency: float, seconds: float) -> Rate:
    outbox, redis_url = str(place.home / "outbox.sqlite3"), place.environ["REDIS_URL"]
    mime = reference_mail(0, "0" * 32)
    perjob.fill(outbox, redis_url, place.sink.url, mime, enough(200, seconds))
    command = [sys.executable, "-m", "tests.bench.perjob", redis_url]
    environ = {"PYTHONPATH": str(servers.ROOT)}
    with ExitStack() as all_of_them:
        workers = []
        for number in range(perjob.FORKS):
            log = place.home / f"per-job-{number}.log"
            worker = servers.process("RQ worker", command, environ, log)
            workers.append(all_of_them.enter_context(worker))
        all_of_them.callback(end_all, workers, 0)
        return watch(place.sink, workers, seconds)


# -- django-post_office ----------------------------------------------------------------------------


def post_office(configured: tuple[int, int, int]) -> Callable[[Ground, float, float], Rate]:
    def peer(place: Ground, latency: float, seconds: float) -> Rate:
        threads, batch, processes = configured
        mails = enough(400 if latency < 10 or configured == TUNED else 100, seconds)
        with post_office_database(place) as database:
            numbers = [place.sink.smtp_port, threads, batch, processes, mails]
            command = [str(post_office_python()), "-P", "tests/bench/postoffice.py"]
            rest = [database, *map(str, numbers)]
            subprocess.run([*command, "fill", *rest], cwd=servers.ROOT, env={}, check=True)
            sender = [str(post_office_python()), "-P", str(SCRIPT), "send", *rest]
            log = place.home / "post-office.log"
            with servers.process("post_office", sender, {}, log) as child:
                return watch(place.sink, [child], seconds)

    return peer


SCRIPT = Path(__file__).with_name("postoffice.py")


def post_office_python() -> Path:
    """The python of .venv-bench, made on first use."""
    python = VENV / "bin" / "python"
    command = [sys.executable, "tools/environment.py", "requirements-bench.txt"]
    environ = {**os.environ, "SENDWRIGHT_VENV": str(VENV)}
    done = subprocess.run(command, cwd=servers.ROOT, env=environ, capture_output=True, text=True)
    if done.returncode != 0 or not python.exists():
        raise Absent("its packages could not be installed")
    return python


@contextmanager
def post_office_database(place: Ground) -> Iterator[str]:
    """An empty database beside the portal's, on the same server."""
    import psycopg

    url = place.environ["DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE DATABASE peer")
    try:
        yield url.replace("/bench", "/peer", 1)
    finally:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("DROP DATABASE peer WITH (FORCE)")


# -- Postfix ---------------------------------------------------------------------------------------


def accept_to_deliver(place: Ground, latency: float, seconds: float) -> Rate:
    try:
        with postfix.running(place.sink.smtp_port) as child:
            return watch(place.sink, [child], seconds)
    except postfix.Missing as problem:
        raise Absent(str(problem)) from None


PEERS: dict[str, Callable[[Ground, float, float], Rate]] = {
    "one RQ job per mail, 16 forks": one_job_each,
    "django-post_office": post_office(AS_IT_COMES),
    "django-post_office, tuned": post_office(TUNED),
    "Postfix, accept to deliver": accept_to_deliver,
}
