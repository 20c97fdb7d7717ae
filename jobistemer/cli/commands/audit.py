"""`jobistemer audit`: prove that every due instant has exactly one record."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType

from jobistemer.cli.session import Session, with_session
from jobistemer.control.audit import audit_jobs
from jobistemer.core.planning.audit import AuditResult
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.core.text import pluralize
from jobistemer.terminal import tables


@click.command("audit")
@click.argument("name", required=False, default="")
@click.option(
    "--from", "since", metavar="INSTANT", help="First instant to audit, ISO 8601; by default the oldest one on record."
)
@click.option("--to", "until", metavar="INSTANT", help="Last instant to audit, ISO 8601; by default now.")
@with_session
def audit_command(session: Session, name: str, since: str | None, until: str | None) -> None:
    """Recompute the due instants of one job or of all jobs, and compare them with the records.

    Lists every hole (an instant without a record) and every double. Exit code 1 when there is one.
    """
    first = _parse_instant(since)
    found = audit_jobs(session.namespace, name, None if first is None else first - 1, _parse_instant(until))
    session.print_answer(found, lambda: _audit_table(found))
    if any(each.findings for each in found):
        raise click.exceptions.Exit(1)


def _parse_instant(instant: str | None) -> int | None:
    return None if instant is None else read_instant(instant, "UTC")


def _audit_table(found: list[AuditResult]) -> RenderableType:
    expected, findings = sum(each.expected for each in found), [row for each in found for row in each.findings]
    rows = [(each.job, tables.style_state(each.fault), tables.format_utc(each.due), each.text) for each in findings]
    counts = {"job": len(found), "due instant": expected, "finding": len(findings)}
    summary = ", ".join(pluralize(count, noun) for noun, count in counts.items())
    table = tables.table(("job", "fault", "due (UTC)", "what is wrong"), rows)
    return Group(table, tables.multiline(summary)) if rows else tables.multiline(summary)
