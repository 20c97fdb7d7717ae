"""Django: settings, tasks of all applications, `manage.py jobistemer …`, a backend of Django's tasks, an outbox.

    INSTALLED_APPS = [..., "jobistemer.contrib.django"]
    JOBISTEMER = {"URL": "redis://localhost:6379/0"}

    # shop/tasks.py
    from jobistemer.contrib.django import app, enqueue_on_commit

    @app.task
    def send_receipt(order: int) -> None: ...

It needs `pip install 'jobistemer[django]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobistemer.app import Jobistemer
    from jobistemer.contrib.django.commit import enqueue_on_commit as enqueue_on_commit

    app: Jobistemer


def __getattr__(name: str) -> Any:
    """Return `app`, made of the settings at its first use, or `enqueue_on_commit`. Raises AttributeError."""
    # Django imports this package before its settings and its models may be used.
    if name == "app":
        from jobistemer.contrib.django.project import get_app  # noqa: PLC0415 - see above

        return get_app()
    if name == "enqueue_on_commit":
        from jobistemer.contrib.django.commit import enqueue_on_commit  # noqa: PLC0415 - see above

        return enqueue_on_commit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
