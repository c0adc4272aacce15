"""Makes .venv hold exactly what a locked requirements file names, and does nothing when it does.

    python tools/environment.py requirements.txt

Runs on any Python 3, so that one too old for Sendwright is told so in a sentence.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.environ.get("SENDWRIGHT_VENV") or os.path.join(ROOT, ".venv")
OLDEST = (3, 11)


def main(names):
    if sys.version_info[:2] < OLDEST:
        version = ".".join(str(part) for part in sys.version_info[:2])
        stop("Python 3.11 or newer is needed; " + sys.executable + " is " + version + ".")
    if not outdated(names):
        return
    if not works() or any(recorded(name) for name in outdated(names)):
        create()
    for name in outdated(names):
        install(name)


def outdated(names):
    """The files among `names` whose present content is not what was installed."""
    return [name for name in names if recorded(name) != digest(name) or not works()]


def works():
    """Whether .venv exists and its interpreter is still on this machine."""
    return os.path.exists(interpreter()) and os.path.exists(os.path.join(VENV, "pyvenv.cfg"))


def create():
    say("Making " + os.path.relpath(VENV, os.getcwd()) + " ...")
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.call([outside(), "-m", "venv", VENV]) != 0:
        stop(
            "Python could not make a virtual environment. On Debian and Ubuntu: "
            "apt install python3-venv. Then start again."
        )


def outside():
    """The Python that makes .venv; the one inside, where it runs this, has just gone with it."""
    inside = sys.prefix != getattr(sys, "base_prefix", sys.prefix)
    return getattr(sys, "_base_executable", sys.executable) if inside else sys.executable


def install(name):
    say("Installing " + name + " (once; takes a minute) ...")
    command = [
        interpreter(),
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
        "--requirement",
        os.path.join(ROOT, name),
    ]
    if subprocess.call(command) != 0:
        stop(
            "pip could not install " + name + "; its own words stand above. "
            "Is there a network? Then start again."
        )
    with open(stamp(name), "w") as file:
        file.write(digest(name))


def recorded(name):
    try:
        with open(stamp(name)) as file:
            return file.read()
    except OSError:
        return ""


def digest(name):
    with open(os.path.join(ROOT, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def stamp(name):
    return os.path.join(VENV, "installed-" + os.path.basename(name) + ".sha256")


def interpreter():
    return os.path.join(VENV, "bin", "python")


def say(sentence):
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def stop(sentence):
    sys.exit("sendwright: " + sentence)


if __name__ == "__main__":
    main(sys.argv[1:])
