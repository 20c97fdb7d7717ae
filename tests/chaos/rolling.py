"""Two releases of one application, by what JOBISTEMER_RELEASE says: the new one splits a job in two and adds another."""

from __future__ import annotations

import os

from jobistemer import Jobistemer
from tests.chaos.app import effect

app = Jobistemer()
NEW = os.environ.get("JOBISTEMER_RELEASE") == "new"

if NEW:
    steady = app.job("*/2 * * * * *", name="steady", overlap="allow", mode="sequential")
    steady.task(effect, name="first")
    steady.task(effect, name="second")
    app.job("* * * * * *", name="extra", overlap="allow")(effect)
    # What the release before has put on the queue is still ours to do.
    app.task(effect, name="steady")
else:
    app.job("* * * * * *", name="steady", overlap="allow")(effect)
