"""Run the tests that Django publishes for backends of its tasks, with this package's backend in the place of its own.

    pip download --no-deps --no-binary django 'django>=6'        # its source archive has the tests
    python -m tests.support.django_suite django-6.*.tar.gz [tasks.test_tasks …]

Django's tests name its DummyBackend, which stores calls, and its ImmediateBackend, which executes them at once. Here
both are this package's backend on a fake server, the second with a worker that drains the queues after each call. What
cannot hold is listed below with the reason; all else has to pass.
"""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

LABELS = ("tasks.test_tasks", "tasks.test_dummy_backend", "tasks.test_immediate_backend")
# tasks.test_custom_backend makes backends of its own and meets none of ours.
_ITS_LIST = "changes an entry of the list in which DummyBackend keeps its results; ours are in the server"
_SUPPORTED = "expects that the backend cannot do it, as ImmediateBackend; ours can"
NOT_APPLICABLE = {
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result": _ITS_LIST,
    "test_dummy_backend.DummyBackendTestCase.test_refresh_result_async": _ITS_LIST,
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_get_result": _SUPPORTED,
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_refresh_result": _SUPPORTED,
    "test_immediate_backend.ImmediateBackendTestCase.test_cannot_pass_run_after": _SUPPORTED,
    "test_immediate_backend.ImmediateBackendTestCase.test_throws_keyboard_interrupt": (
        "expects that Ctrl-C reaches the caller, in whose process ImmediateBackend executes; ours has workers"
    ),
}


def prepare_backends() -> None:
    """Put this package's backend in the place of the two of Django."""
    from django.tasks.backends import dummy, immediate

    from jobistemer.contrib.django import app
    from jobistemer.contrib.django.backend import JobistemerBackend
    from tests.support.apps import drain_queues
    from tests.support.servers import empty_server

    class StoringBackend(JobistemerBackend):
        """Keeps what was enqueued in a list, as Django's tests want to look at it."""

        def __init__(self, alias: str, params: Any) -> None:
            super().__init__(alias, params)
            self.results: list[Any] = []

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            self.results.append(super().enqueue(task, args, kwargs))
            return self.results[-1]

        def clear(self) -> None:
            self.results.clear()
            empty_server(app.namespace.url)

    class ExecutingBackend(JobistemerBackend):
        """Has each call executed by a worker before it returns."""

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            result = super().enqueue(task, args, kwargs)
            drain_queues(app, queues={task.queue_name: 0})
            result.refresh()
            return result

    dummy.DummyBackend, immediate.ImmediateBackend = StoringBackend, ExecutingBackend


def run(labels: list[str]) -> int:
    """Run the tests with these labels; return how many have failed."""
    import django
    from django.conf import settings
    from django.test.runner import DiscoverRunner

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["jobistemer.contrib.django"],
        JOBISTEMER={"URL": "fake://django-suite"},
        SECRET_KEY="for tests",
        USE_TZ=True,
    )
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    django.setup()
    prepare_backends()

    class Runner(DiscoverRunner):
        def build_suite(self, *args: Any, **kwargs: Any) -> Any:
            suite = super().build_suite(*args, **kwargs)
            for test in suite:
                if reason := NOT_APPLICABLE.get(test.id().removeprefix("tasks.")):
                    setattr(test, test._testMethodName, partial(test.skipTest, reason))
            return suite

    return int(Runner(verbosity=2).run_tests(labels))


def main() -> int:
    """Unpack the tests of the archive, and run them."""
    archive, *labels = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as packed:
        wanted = [each for each in packed.getmembers() if "/tests/tasks/" in each.name]
        packed.extractall(folder, wanted, filter="data")
        sys.path.insert(0, str(next(Path(folder).glob("*/tests"))))
        return run(labels or list(LABELS))


if __name__ == "__main__":
    sys.exit(main())
