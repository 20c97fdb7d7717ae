"""A run that asks a person, and the answer by the signed link of a mounted dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jobistemer import Context, Jobistemer, RunHandle
from tests.support.apps import drain_queues


def ask_someone(app: Jobistemer) -> RunHandle[str]:
    """Return a run that waits for an answer of ops."""

    @app.task(name="asking")
    def asking(context: Context) -> str:
        return f"ops said {context.wait_for('approved', bool, timeout=3600, ask='Ship it?', by=['ops'])}"

    run = asking.enqueue()
    drain_queues(app)
    return run


def answer_by_link(
    page: str, get: Callable[[str], tuple[int, str]], post: Callable[[str, dict[str, str]], int]
) -> None:
    """Answer as one who has nothing but the link, which stands on a page of the dashboard; nothing else opens."""
    link = re.search(r'href="([^"]*/answer/[^"]+)"', page)[1]
    root = link.partition("/answer/")[0]
    status, form = get(link)
    assert (status, "Ship it?" in form) == (200, True)
    assert get(f"{root}/static/dashboard.css")[0] == 200
    for path in ("/", "/questions", "/answer", "/answers/", f"/x{link.removeprefix(root)}", "/answer/../questions"):
        assert get(f"{root}{path}")[0] in (302, 308, 403, 404), path
    assert post(f"{root}/actions/pause-queue", {"target": "default"}) in (302, 403)
    csrf: Any = re.search(r'name="csrf" value="([^"]+)"', form)
    assert post(link, {"csrf": csrf[1], "field": "true", "field.": "true", "field.value": "true"}) == 200
