"""Garbage of fifteen kinds in each key of a full namespace, while all roles, the command line and the dashboard work.

What good work depends on gets members and entries that nobody can read. What belongs to a victim, or to nobody, is also
replaced by a value of another type. Each role may say ten lines a minute about it, and use a twentieth of a processor.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from itertools import cycle
from pathlib import Path

from jobistemer import Jobistemer
from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.options import Options
from jobistemer.core.schedules import Cron
from jobistemer.store.calls.holds import put_hold
from jobistemer.store.calls.streams import pause_queue
from jobistemer.store.keys import forms_key
from tests.chaos.campaign.scene import Scene
from tests.chaos.system import wait_until
from tests.support.clusters import free_port
from tests.support.garbage import KINDS, REPLACED_FROM, WORDS, add_garbage, replace_by_garbage

LINES_A_MINUTE = 10
PROCESSOR_SHARE = 0.05
NOISE = 0.25
"""The share by which the processor time for the same good work differs from one time to another."""
MEASURED_S = 5.0
QUEUE, JOB = "victims", "victim"
VICTIM = ids.job_id(JOB)
PAGES = ("/", "/jobs", f"/jobs/{JOB}", "/queues", "/runs", "/runs/ended", "/dead", "/workers", "/quarantine")
COMMANDS = cycle(
    [
        ("job", "list"),
        ("doctor",),
        ("job", "show", JOB),
        ("queue", "list"),
        ("audit",),
        ("dead", "list"),
        ("quarantine", "list"),
        ("run", "list"),
        ("stats",),
        ("worker", "list"),
        ("ticker", "list"),
        ("job", "remove", JOB),
    ]
)
NEEDED = ("due", "delayed", "streams", "workers", "tickers", "starts", "limits", "held", "waiting", "unique", "dead")
"""Kinds of keys that good work depends on: they get what cannot be read beside what can."""
INDEXES = ("delayed", "deadlines", "expected", "starts", "streams")
"""Kinds of which a role reads the first members all the time: it puts aside what it cannot read there."""
UNUSED = ("holds", "paused", "closed", "parked", "unknown", "questions", "chores", "changes")
"""Kinds that only the victims have a use for."""
LEFT_OUT = ("identity", "ended", "outcomes", "quarantine")
"""Kinds that nothing depends on, or that say what the server is: another identity is another server."""


class Garbage:
    """The garbage of one story, and those who look at it."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.wrong, self.number, self.victims = scene, list[str](), 0, list[str]()
        self.client, self.database = scene.client, scene.database()
        self.app = Jobistemer(scene.server.url)
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.dashboard = scene.system.command("dashboard", "--port", str(port), "--no-token")
        wait_until("the dashboard answers", lambda: self._look("/") == 200)
        self._fill()
        self.roles = {
            f"{name} {at}": process
            for name, of in (("ticker", scene.tickers), ("worker", scene.workers), ("dashboard", [self.dashboard]))
            for at, process in enumerate(of)
        }
        used, began = self._processor_s(), time.monotonic()
        time.sleep(MEASURED_S)
        self.usual = {name: (self._processor_s()[name] - at) / (time.monotonic() - began) for name, at in used.items()}
        self.used, self.lines, self.began = self._processor_s(), self._count_lines(), time.monotonic()

    def spoil(self) -> None:
        """Put the next kind of garbage into each key, and look at everything."""
        keys = [each.decode() for each in self.client.keys(f"{self.database.keys.tag}:*")]
        for key in sorted(keys):
            self._spoil(key)
        for page in PAGES:
            if (status := self._look(page)) not in (200, 404):
                self.wrong.append(f"garbage {self.number}: {page} was answered with {status}")
        for _ in range(3):
            self._run(next(COMMANDS))
        self.number = (self.number + 1) % KINDS

    def judge(self) -> list[str]:
        """Return what was wrong, after the keys of the victims were removed."""
        minutes = (time.monotonic() - self.began) / 60
        for name, now in self._processor_s().items():
            share, usual = (now - self.used[name]) / minutes / 60, self.usual[name]
            if share > usual * (1 + NOISE) + PROCESSOR_SHARE:
                self.wrong.append(f"the {name} used {share:.0%} of a processor, and {usual:.0%} without garbage")
        for name, count in self._count_lines().items():
            # The dashboard has a line for each request.
            if name != "dashboard 0" and count - self.lines[name] > LINES_A_MINUTE * max(1.0, minutes):
                self.wrong.append(f"the {name} said {count - self.lines[name]} lines in {minutes:.1f} minutes")
        self._clean()
        return self.wrong

    def _fill(self) -> None:
        self.app.control.register(
            Job(JOB, Cron("0 0 1 1 *"), (Task("only", handler="nobody", options=Options(queue=QUEUE)),))
        )
        occurrence, _ = self.app.control.trigger(JOB)
        run = ids.run_id(occurrence, ids.task_id(VICTIM, "only"))
        other = self.app.enqueue("nobody", queue=QUEUE, priority=3).id
        keys = self.database.keys
        self.victims = [keys.occurrence(occurrence), keys.run(run), keys.run(other)]
        put_hold([self.database], "nobody", self.database.read_clock() + 3_600_000)
        pause_queue([self.database], QUEUE)

    def _spoil(self, key: str) -> None:
        kind, _, rest = key.removeprefix(f"{self.database.keys.tag}:").partition(":")
        is_victim = QUEUE in rest or rest == VICTIM or key in self.victims
        if kind in LEFT_OUT or (rest and not is_victim and kind not in NEEDED):
            return
        if self.number < REPLACED_FROM:
            add_garbage(self.client, key, self.number)
        elif kind not in NEEDED:
            replace_by_garbage(self.client, key, self.number)

    def _run(self, words: tuple[str, ...]) -> None:
        process = self.scene.system.command(*words)
        try:
            code = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = -1
        if code not in (0, 1, 2):
            self.wrong.append(f"garbage {self.number}: `jobistemer {' '.join(words)}` ended with {code}")

    def _look(self, page: str) -> int:
        try:
            with urllib.request.urlopen(self.address + page, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def _processor_s(self) -> dict[str, float]:
        found = {}
        for name, process in self.roles.items():
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def _count_lines(self) -> dict[str, int]:
        """How many lines each role has said; those about attempts of the application that fail are its own."""
        lines = {name: self.scene.system.read_log(each).splitlines() for name, each in self.roles.items()}
        return {name: sum("fails_once" not in line for line in said) for name, said in lines.items()}

    def _clean(self) -> None:
        self.dashboard.terminate()
        if code := self.dashboard.wait(timeout=30):
            self.wrong.append(f"the dashboard ended with {code}")
        keys = self.database.keys
        self.client.delete(*self.victims, forms_key(keys.namespace))
        for key in self.client.keys(f"{keys.tag}:*"):
            text = key.decode()
            kind, _, rest = text.removeprefix(f"{keys.tag}:").partition(":")
            if QUEUE in rest or rest == VICTIM or kind in UNUSED:
                self.client.delete(key)
        for place in self.database.read("SMEMBERS", keys.streams):
            if QUEUE.encode() in place:
                self.client.srem(keys.streams, place)
        for index in (keys.due, keys.deadlines, keys.expected):
            self.client.zrem(index, VICTIM)
        left = [name for name in INDEXES if set(self._members(f"{keys.tag}:{name}")) & set(WORDS)]
        if left:
            self.wrong.append(f"nobody has put aside what cannot be read in {', '.join(left)}")
        for key in self.client.keys(f"{keys.tag}:*"):
            self._remove_words(key)

    def _members(self, key: str) -> list[bytes]:
        return list(self.client.smembers(key) if self.client.type(key) == b"set" else self.client.zrange(key, 0, -1))

    def _remove_words(self, key: bytes) -> None:
        """Purge what no role reads, such as names of limits and letters of nobody, as a person would."""
        kind = self.client.type(key)
        if kind == b"zset":
            self.client.zrem(key, *WORDS)
        elif kind == b"set":
            self.client.srem(key, *WORDS)
        elif kind == b"hash":
            self.client.hdel(key, *WORDS)


def spoil_keys(scene: Scene) -> None:
    """Each key gets garbage of one of fifteen kinds, while the command line and the dashboard look at everything."""
    if scene.garbage is None:
        scene.garbage = Garbage(scene)
    for _ in range(KINDS):
        scene.garbage.spoil()
