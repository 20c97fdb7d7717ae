"""`jobistemer job history` and `log`: the past occurrences of a job, and the changes made to it."""

from __future__ import annotations

import re
import sys
from typing import Final

import click
from rich.console import RenderableType

from jobistemer.cli.list_answers import list_page
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.jobs import JobControl
from jobistemer.core import ids
from jobistemer.core.runs.history_text import explain_occurrence, find_mentioned
from jobistemer.core.runs.records import JobChange, OccurrenceRecord
from jobistemer.core.text import format_duration
from jobistemer.store.reads import jobs, records
from jobistemer.store.reads.records import NEVER_RAN
from jobistemer.terminal import tables

SHORT_ID: Final = 8
"""How many characters of an id are shown on a terminal: those at its end, which differ."""
_NAMED: Final = re.compile(r"(the one of [0-9: -]{19}) \(occ_[0-9a-f-]{36}\)")


@click.command("history")
@click.argument("name")
@page_options(20, 1_000)
@click.option("--ids", is_flag=True, help="Print ids whole, as the output to a pipe has them.")
@with_session
def history_command(session: Session, name: str, limit: int, offset: int, *, ids: bool) -> None:
    """Show the occurrences of a job, the newest first, each with its reason."""
    job = JobControl(session.namespace).find(name).job
    database = session.namespace.for_job(job.id)
    found = jobs.list_history(database, job.id, offset, limit)
    # A reason may name another occurrence by its id; people know it by its due instant.
    others = records.find_occurrences(database, sorted(find_mentioned(found)))
    due = {each.id: each.due for each in (*found, *others)}
    answer = list_page("occurrence", found, offset, jobs.count_history(database, job.id))
    whole = ids or not sys.stdout.isatty()
    session.print_list(answer, lambda: history_table(found, due, session.now_ms, whole=whole))


@click.command("log")
@click.argument("name")
@page_options(20, 1_000)
@with_session
def log_command(session: Session, name: str, limit: int, offset: int) -> None:
    """Show the changes made to a job and who made them, the latest first."""
    found, job_id = JobControl(session.namespace).log(name, limit, offset), ids.job_id(name)
    answer = list_page("change", found, offset, jobs.count_job_changes(session.namespace.for_job(job_id), job_id))
    session.print_list(answer, lambda: "" if offset and not found else _log_table(found, session.now_ms))


def history_table(found: list[OccurrenceRecord], due: dict[str, int], now_ms: int, *, whole: bool) -> RenderableType:
    """Build the table of occurrences. whole: with whole ids, as the output to a pipe has them."""
    if not found:
        return "no occurrence is on record"
    rows = [
        (
            tables.format_instant(each.due * 1000, now_ms),
            tables.style_state(each.state),
            format_duration(each.late_ms),
            format_duration(each.ended_at - each.claimed_at) if each.ended_at and each.state not in NEVER_RAN else "–",
            each.id if whole else f"…{each.id[-SHORT_ID:]}",
            explain_occurrence(each, due) if whole else _NAMED.sub(r"\1", explain_occurrence(each, due)),
        )
        for each in found
    ]
    return tables.table(("due (UTC)", "state", "late", "took", "occurrence", "reason"), rows)


def _log_table(found: list[JobChange], now_ms: int) -> RenderableType:
    if not found:
        return "nothing is on record: no job of this name was ever registered, or it was removed long ago"
    rows = [(tables.format_instant(each.at, now_ms), each.what, each.by, each.note) for each in found]
    return tables.table(("when (UTC)", "what", "by", "note"), rows)
