"""How long `make run` takes when it has run before: until every part answers.

    python -m tests.bench.start

Beside it stands the floor: one Python that imports the portal once. A start makes four of them.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from portal.config import ROOT, Config
from tests.test_launch import SCARCE, free_ports

STARTS = 3
PATIENCE = 120


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        first = start(data)
        later = [start(data) for _ in range(STARTS)]
    floor = min(import_once() for _ in range(STARTS))
    print("make run                   seconds   ÷ one import of the portal")
    print(f"  first start             {first:8.1f}  {first / floor:8.1f}")
    print(f"  later starts, median    {sorted(later)[STARTS // 2]:8.1f}  {min(later) / floor:8.1f}")


def start(data: Path) -> float:
    """Seconds from the command to the line that says everything runs."""
    portal, google = free_ports(2)
    environ = dict.fromkeys(Config.model_fields, "")
    environ |= {name: os.environ[name] for name in SCARCE if name in os.environ}
    environ |= {"PORT": str(portal), "SANDBOX_PORT": str(google)}
    command = [sys.executable, "-u", "-m", "portal.launch", "--data", str(data)]
    began = time.monotonic()
    run = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    for line in run.stdout:
        if "Ctrl-C ends" in line or time.monotonic() - began > PATIENCE:
            break
    took = time.monotonic() - began
    run.send_signal(signal.SIGINT)
    run.wait(PATIENCE)
    return took


def import_once() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import portal.web"], cwd=ROOT, check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
