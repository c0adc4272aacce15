"""Machine: what this one is, and what processes take of it, as Linux tells in /proc."""

import os
import platform
from importlib import metadata
from pathlib import Path

from portal.children import session_members

TICKS = os.sysconf("SC_CLK_TCK")
#: Of the fields of /proc/<pid>/stat after the name: own time, and that of children who ended.
TIMES = slice(11, 15)
PACKAGES = ("rq", "redis", "sqlalchemy", "flask", "urllib3", "typst", "granian", "psycopg")


def cpu_of(leaders: list[int]) -> float:
    """CPU seconds that the sessions of these processes used, their ended children included."""
    return sum(_cpu(pid) for leader in leaders for pid in session_members(leader))


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended: its parent counts it
        return 0.0
    return sum(int(one) for one in fields[TIMES]) / TICKS


def memory_of(leaders: list[int]) -> float:
    """Megabytes that the sessions of these processes hold; what they share counts once."""
    return sum(_pss(pid) for leader in leaders for pid in session_members(leader))


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    found = [int(one.split()[1]) for one in lines if one.startswith("Pss:")]
    return sum(found) / 1024


def described() -> str:
    """The machine and the versions of what was measured, on two lines."""
    model = _first("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((_first("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20
    cores = os.cpu_count()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    system = f"{platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    return f"{model}, {cores} cores, {memory:.0f} GiB, {system}, {python}\n{versions}"


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    found = [one.partition(":")[2].strip() for one in lines if one.startswith(name)]
    return found[0] if found else ""
