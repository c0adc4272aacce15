"""The keys of an all-in-one start: made once, kept beside the data in a file only its owner reads.

A production installation sets SECRET_KEY and TOKEN_KEYS itself and never gets here.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from portal.config import read_dotenv


def complete_keys(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The keys that were not given, from the file; what the file lacks is made and added to it."""
    kept = read_dotenv(path)
    wanted = [name for name in MAKERS if not given.get(name)]
    made = {name: MAKERS[name]() for name in wanted if not kept.get(name)}
    if made:
        append(path, made)
    return {name: made.get(name) or kept[name] or "" for name in wanted}


def append(path: Path, keys: Mapping[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a") as file:
        file.writelines(f"{name}={value}\n" for name, value in keys.items())


def token_key() -> str:
    return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode()


MAKERS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "TOKEN_KEYS": token_key,
}
