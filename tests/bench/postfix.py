"""Postfix, as a peer: it accepts by SMTP over ten sessions and delivers by SMTP to the sink.

Debian's package is unpacked into var/, never installed: the machine's own mail stays as it is. It
runs under a configuration and a queue of its own, with its defaults but for where it lives. Postfix
has to be started by root.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from portal.children import Child
from tests import servers
from tests.bench.mails import reference_mail
from tests.servers import ROOT
from tests.test_launch import free_ports

UNPACKED = ROOT / "var" / "bench" / "postfix"
SESSIONS = 10
#: Accounts that every Debian has and nobody uses: Postfix insists on one of its own.
OWNER, GROUP, NOBODY = "games", "operator", "nobody"
QUEUES = (
    "active bounce corrupt defer deferred flush hold incoming private saved trace maildrop public"
)
SETTINGS = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {root}/etc/postfix
mail_owner = {owner}
setgid_group = {group}
default_privs = {nobody}
import_environment = MAIL_CONFIG MAIL_LOGTAG LD_LIBRARY_PATH POSTLOG_SERVICE POSTLOG_HOSTNAME TZ
maillog_file_prefixes = {home}
maillog_file = {home}/postfix.log
myhostname = bench.invalid
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
mydestination =
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
"""
SERVICE = re.compile(r"^(\S+ +(?:unix|inet|fifo|unix-dgram) +[-ny] +[-ny] +)[-y]", re.MULTILINE)


class Missing(Exception):
    """Why there is no Postfix to measure."""


@contextlib.contextmanager
def running(sink_port: int) -> Iterator[Child]:
    """A Postfix at work: ten sessions feed it for as long as this lasts."""
    program = unpacked()
    with servers.short_directory("swpostfix-") as home:
        (port,) = free_ports(1)
        configure(home, program, port, sink_port)
        environ = {
            "LD_LIBRARY_PATH": str(program / "usr/lib/postfix"),
            "POSTLOG_SERVICE": "postlog",
            "POSTLOG_HOSTNAME": "bench",
            "MAIL_LOGTAG": "postfix",
        }
        master = [str(program / "usr/lib/postfix/sbin/master"), "-d", "-c", f"{home}/conf"]
        with servers.process("Postfix", master, environ, home / "master.log") as child:
            servers.wait_for(lambda: greets(port), child)
            with fed(port):
                yield child


def unpacked() -> Path:
    """The folder that holds Postfix as if it were the root. Raises Missing."""
    if os.geteuid() != 0:
        raise Missing("Postfix has to be started by root")
    if not (UNPACKED / "usr/sbin/postconf").exists():
        unpack()
    return UNPACKED


def unpack() -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Missing("Postfix is taken from a Debian package, and this is no Debian")
    UNPACKED.mkdir(parents=True, exist_ok=True)
    for words in ("download postfix", "update", "download postfix"):
        command = ["apt-get", "--quiet", *words.split()]
        subprocess.run(command, cwd=UNPACKED, capture_output=True, timeout=120, check=False)
        if packages := sorted(UNPACKED.glob("postfix_*.deb")):
            break
    else:
        raise Missing("the package of Postfix could not be fetched")
    subprocess.run(["dpkg", "-x", str(packages[-1]), str(UNPACKED)], check=True)


def configure(home: Path, program: Path, port: int, sink_port: int) -> None:
    """Its two files, and the folders of its queue."""
    home.chmod(0o755)
    (home / "conf").mkdir()
    names = {"owner": OWNER, "group": GROUP, "nobody": NOBODY}
    settings = SETTINGS.format(home=home, root=program, sink=sink_port, **names)
    (home / "conf" / "main.cf").write_text(settings)
    services = (program / "usr/share/postfix/master.cf.dist").read_text()
    services = SERVICE.sub(r"\1n", services)  # nothing is jailed: there is no jail
    services = re.sub(r"^smtp( +inet)", rf"127.0.0.1:{port}\1", services, flags=re.MULTILINE)
    (home / "conf" / "master.cf").write_text(services)
    for name in QUEUES.split():
        folder = home / "queue" / name
        folder.mkdir(parents=True, mode=0o700)
        shutil.chown(folder, OWNER, GROUP if name in ("maildrop", "public") else None)
    (home / "queue" / "public").chmod(0o710)
    (home / "queue" / "maildrop").chmod(0o730)
    (home / "queue" / "pid").mkdir()
    (home / "data").mkdir()
    shutil.chown(home / "data", OWNER)


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            return line.recv(3) == b"220"
    except OSError:
        return False


@contextlib.contextmanager
def fed(port: int) -> Iterator[None]:
    """Ten sessions hand in the reference mail, over and over."""
    enough = threading.Event()
    mail = reference_mail(0, "0" * 32).replace(b"\r\n.", b"\r\n..")
    sessions = [threading.Thread(target=feed, args=(port, mail, enough)) for _ in range(SESSIONS)]
    for one in sessions:
        one.start()
    try:
        yield
    finally:
        enough.set()
        for one in sessions:
            one.join()


def feed(port: int, mail: bytes, enough: threading.Event) -> None:
    steps = (
        b"MAIL FROM:<office@brightspark.example>\r\n",
        b"RCPT TO:<mary.lee@homes.example>\r\n",
        b"DATA\r\n",
        mail + b"\r\n.\r\n",
    )
    with socket.create_connection(("127.0.0.1", port)) as line:
        answers = line.makefile("rb")
        say(line, answers, b"")
        say(line, answers, b"EHLO bench\r\n")
        while not enough.is_set():
            for step in steps:
                say(line, answers, step)


def say(line: socket.socket, answers: IO[bytes], words: bytes) -> None:
    """Send a step and read its whole answer, which must be a good one."""
    line.sendall(words)
    while True:
        answer = answers.readline()
        assert answer[:1] in (b"2", b"3"), answer
        if answer[3:4] == b" ":
            return
