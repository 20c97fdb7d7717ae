"""The pages that are one list: queues, dead letters, changes, the quarantine, and the workers and tickers that run."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from jobistemer.control.changes import ChangeList
from jobistemer.control.dead_letters import DeadLetters, search_dead
from jobistemer.control.quarantine import Quarantine
from jobistemer.core.reads.summaries import RunSummary
from jobistemer.core.text import first_line
from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import holds
from jobistemer.store.keys import FRONT
from jobistemer.store.reads import queues
from jobistemer.store.reads.ended_runs import LocatedRun, locate_dead_runs
from jobistemer.store.reads.limited_runs import read_limit_use
from jobistemer.store.reads.queues_snapshot import InFlightRun, snapshot_queues
from jobistemer.web.charts.templating import shorten_payload
from jobistemer.web.shared.actions import MAX_TARGETS
from jobistemer.web.shared.dashboard import get_dashboard
from jobistemer.web.shared.pagination import read_page

CHANGES_PER_PAGE, DEAD_LETTERS_PER_PAGE, QUARANTINED_PER_PAGE = 50, 50, 50
SINCE_MS: Final = {"1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000}
"""How long ago a dead letter may have died, by the words of the filter."""
MAX_CHIPS, MAX_CAUSE = 6, 80
MAX_LOOKED_AT, MAX_COUNTED = 5_000, 500
"""Among so many of the latest dead letters those are looked for that are asked for; tasks and causes are counted."""
MAX_RUNNING, MAX_RUNNING_SHOWN = 500, 5
"""So many runs in flight are looked at, and so many are shown of each worker, those that run for longest."""


class DeadRow(NamedTuple):
    """One row of the dead letters. payload: its beginning."""

    run: RunSummary
    priority: int
    payload: str


def queues_page(request: Request) -> Response:
    """Render the queues with the runs that wait in them, and the holds."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    now_ms = shards[0].read_clock()
    return dashboard.render(
        request,
        "queues.html",
        now_ms=now_ms,
        queues=queues.list_queues(shards),
        oldest={each.name: each.oldest_at for each in snapshot_queues(shards, 0)[0]},
        served=queues.find_served_queues(queues.list_workers(shards), now_ms),
        limits=read_limit_use(shards),
        holds=holds.list_holds(shards),
        front=FRONT,
    )


def dead_letters_page(request: Request) -> Response:
    """Render the runs that are out of attempts, the latest first: all, or those of a task, an error and a time."""
    dashboard = get_dashboard(request)
    letters, now_ms = DeadLetters(dashboard.namespace), dashboard.shards[0].read_clock()
    task, error, since = (request.query_params.get(each, "").strip() for each in ("task", "q", "since"))
    # Without a filter any letter can be paged to; with one, those among the latest that were looked at.
    is_filtered = bool(task or error or since in SINCE_MS)
    since_ms = now_ms - SINCE_MS[since] if since in SINCE_MS else 0
    looked_at = MAX_LOOKED_AT if is_filtered else MAX_COUNTED
    found, all_seen = search_dead(dashboard.shards, task, error, since_ms, looked_at)
    chosen = request.query_params.get("choose") == "all"
    size = MAX_TARGETS if chosen else DEAD_LETTERS_PER_PAGE
    page = read_page(
        request,
        size,
        lambda at, most: found[at : at + most] if is_filtered else locate_dead_runs(dashboard.shards, at, most),
    )
    return dashboard.render(
        request,
        "dead.html",
        now_ms=now_ms,
        page=page,
        rows=_build_rows(page.rows),
        total=letters.count(),
        found=len(found) if is_filtered else letters.count(),
        all_seen=all_seen or not is_filtered,
        filter={"task": task, "q": error, "since": since},
        chosen=chosen,
        most=MAX_TARGETS,
        tasks=Counter(each.run.task for each in found).most_common(MAX_CHIPS),
        causes=_count_causes(found),
    )


def _build_rows(located: Sequence[LocatedRun]) -> list[DeadRow]:
    """Read what the summaries of the runs of a page leave out; of a payload the beginning: it may have megabytes."""
    found = {
        run: (message.priority, shorten_payload(message.payload))
        for run, message in dead_letters.iter_messages(located)
    }
    return [DeadRow(each.run, *found[each.run.id]) for each in located if each.run.id in found]


def _count_causes(found: Sequence[LocatedRun]) -> list[tuple[str, int]]:
    """Count errors by their beginnings, up to the first word that may differ between calls; leave single ones out."""
    causes = Counter(_begin_of(first_line(each.run.note)) for each in found)
    return [(cause, count) for cause, count in causes.most_common(MAX_CHIPS) if cause and count > 1]


def _begin_of(error: str) -> str:
    # An id, an address or a number differs; the type of the error and a status such as 502 stand at the beginning.
    words = error[:MAX_CAUSE].split(" ")
    end = next((at for at, word in enumerate(words) if at > 1 and re.search(r"[\d@'\"]", word)), len(words))
    return " ".join(words[:end])


def quarantine_page(request: Request) -> Response:
    """Render what was put aside because it cannot be read, the latest first."""
    dashboard = get_dashboard(request)
    quarantine = Quarantine(dashboard.namespace)
    page = read_page(request, QUARANTINED_PER_PAGE, quarantine.list)
    return dashboard.render_page(request, "quarantine.html", page=page, total=quarantine.count())


def changes_page(request: Request) -> Response:
    """Render what people have changed, the latest first."""
    dashboard = get_dashboard(request)
    changes = ChangeList(dashboard.namespace)
    page = read_page(request, CHANGES_PER_PAGE, changes.list)
    return dashboard.render_page(request, "changes.html", page=page, total=changes.count())


def workers_page(request: Request) -> Response:
    """Render the workers with what they run, and the tickers, with their last beat."""
    dashboard = get_dashboard(request)
    shards = dashboard.shards
    running: defaultdict[str, list[InFlightRun]] = defaultdict(list)
    for each in snapshot_queues(shards, MAX_RUNNING)[1]:
        running[each.worker].append(each)
    return dashboard.render_page(
        request,
        "workers.html",
        workers=queues.list_workers(shards),
        tickers=queues.list_tickers(shards),
        running=running,
        most=MAX_RUNNING_SHOWN,
    )
