"""The queues that an app declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobistemer.core.jobs.options import complete_options

if TYPE_CHECKING:
    from jobistemer.app.registry import Registry


def find_declared_queues(app: Registry) -> dict[str, int]:
    """Return the queues that the tasks of an app go to, with equal weights, and `default`."""
    options = [complete_options(app.defaults), *(complete_options(each.options) for each in app.handlers.values())]
    names = sorted({"default", *app.queue_limits, *app.further_queues, *(each.queue for each in options)})
    return dict.fromkeys(names, 1 if len(names) > 1 else 0)
