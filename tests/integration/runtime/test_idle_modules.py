"""What a worker and a ticker have imported after they have worked: the memory of an idle process is its modules.

A list is compared rather than megabytes, which differ between machines. See docs/decisions/0003.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobistemer.app import Jobistemer
from tests.support.servers import VALKEY, running

APP = """
from jobistemer import Jobistemer

app = Jobistemer()


@app.task
def greet(name: str) -> str:
    return name
"""
ENDS = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
WORKER = ENDS + "from jobistemer.cli.commands.worker import worker_command; worker_command(['app:app', '--burst'])"
LIBRARIES = "import redis, redis.asyncio, click, msgspec, sys; print(*sys.modules)"
# The name of the server's host is looked up with `encodings.idna`, the process gets a name with `secrets` and `getpass`,
# and `ctypes` stops a handler: when one has to be stopped is no time for an import.
ALLOWED = {
    "app",
    "ctypes",
    "encodings",
    "gc",
    "getpass",
    "hmac",
    "jobistemer",
    "pwd",
    "secrets",
    "stringprep",
    "termios",
    "unicodedata",
}
MOST_OF_OURS = 265
"""So many modules of this package a worker may import; it had 246 when this was written, and 294 before."""
WITHOUT = {
    "difflib": "an error with a hint",
    "isodate": "a schedule in ISO 8601",
    "zoneinfo": "a schedule",
    "sysconfig": "zoneinfo",
    "tomllib": "a pyproject.toml",
    "rich": "tables",
    "http.server": "--health-port",
    "jobistemer.cli.root": "the other commands",
    "jobistemer.cli.json_answers": "--json",
    "jobistemer.cli.supervised_workers": "--processes",
    "jobistemer.runtime.supervisor": "--processes",
    "jobistemer.control.definitions": "app.deploy()",
    "jobistemer.control.jobs": "app.control",
    "jobistemer.control.queues": "app.queues",
    "jobistemer.control.dead_letters": "app.dead",
    "jobistemer.control.signals": "app.signal()",
    "jobistemer.control.stats": "app.stats()",
    "jobistemer.control.retry": "handle.retry()",
    "jobistemer.app.health": "app.health()",
    "jobistemer.store.acl": "a refused command",
    "jobistemer.store.reads.jobs": "a list of jobs",
    "jobistemer.store.reads.metrics": "--metrics cluster",
    "jobistemer.worker.process.protocol": 'executor="process", and suspects',
    "jobistemer.worker.slots.blocked_loops": "coroutines",
}
"""Modules that a worker of plain functions does without, and what needs them."""


def modules_of(code: str, folder: Path, url: str) -> set[str]:
    """The modules that a process has imported until its end."""
    environment = {**os.environ, "JOBISTEMER_URL": url, "JOBISTEMER_NAMESPACE": "idle"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


@pytest.fixture
def worker_modules(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with running(VALKEY, tmp_path) as url:
        run = Jobistemer(url, namespace="idle").enqueue("greet", {"name": "Ana"})
        found = modules_of(WORKER, tmp_path, url)
        assert run.result(timeout=20) == "Ana"
    return found


def test_a_worker_that_has_executed_a_run_has_imported_nothing_that_only_others_need(worker_modules, tmp_path):
    assert {name: need for name, need in WITHOUT.items() if name in worker_modules} == {}

    libraries = modules_of(LIBRARIES, tmp_path, "")
    further = {name.partition(".")[0] for name in worker_modules - libraries}
    assert {name for name in further if not name.startswith("_")} <= ALLOWED

    assert len([name for name in worker_modules if name.startswith("jobistemer")]) <= MOST_OF_OURS


def test_every_module_that_a_worker_does_without_exists(tmp_path):
    names = sorted(name for name in WITHOUT)
    found = modules_of(f"import {', '.join(names)}, sys; print(*sys.modules)", tmp_path, "")
    assert found >= set(names)
