"""The application of the processes in test_nothing_is_parked.py: its long runs last until the test says so."""

import os
import time
from pathlib import Path

from jobistemer import Jobistemer

app = Jobistemer()


@app.task
def short() -> int:
    return os.getpid()


@app.task
def gather(folder: str, number: int, count: int) -> int:
    """Return when so many of these runs are running at the same time."""
    (Path(folder) / str(number)).touch()
    while len(list(Path(folder).iterdir())) < count:
        time.sleep(0.02)
    return os.getpid()


@app.task
def hold(begun: str, release: str) -> int:
    """Return when a file is there."""
    Path(begun).touch()
    while not Path(release).exists():
        time.sleep(0.02)
    return os.getpid()
