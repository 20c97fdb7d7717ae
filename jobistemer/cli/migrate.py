"""`jobistemer migrate`: read the tasks and schedules of another engine, and write them as a module of jobs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from jobistemer.cli.session import json_option, print_json
from jobistemer.cli.usage_errors import SafeErrors
from jobistemer.core.errors import InvalidInput, JobistemerError, Misconfigured
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.migrate.apscheduler_jobs import read_apscheduler
from jobistemer.migrate.arq_settings import read_arq
from jobistemer.migrate.celery_app import read_celery
from jobistemer.migrate.crontab_file import read_crontab_file
from jobistemer.migrate.found import Found, Verdict
from jobistemer.migrate.module_text import write_module
from jobistemer.migrate.report_text import compare_all, write_report
from jobistemer.migrate.rq_module import read_rq

F = TypeVar("F", bound=Callable[..., Any])

_OUTPUT = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False),
    help="Write the module to this file, which must not exist; by default it is printed.",
)
_REPORT = click.option(
    "--report",
    type=click.Path(dir_okay=False),
    help="Write the report to this file; by default it is printed to stderr.",
)
_FROM = click.option("--from", "since", metavar="INSTANT", help="Compare instants after this one, by default now.")
_FORCE = click.option("--force", is_flag=True, help="Replace files that exist.")
_ZONE = click.option("--timezone", default="UTC", show_default=True, help="Time zone of the host that is moved.")


def _with_output(function: F) -> F:
    for option in (json_option, _FORCE, _FROM, _REPORT, _OUTPUT):
        function = option(function)
    return function


class _Group(SafeErrors, click.Group):
    pass


@click.group("migrate", cls=_Group)
def migrate_group() -> None:
    """Read the tasks and schedules of another engine, and write them as a module of jobs.

    The report says what is the same, what differs and what has no equal. The due instants of 400 days are compared with
    those of the other engine. Nothing is sent to a server. Run it where the application can be imported.
    """


@migrate_group.command("celery")
@click.argument("app")
@_with_output
def celery_command(*, app: str, **options: Any) -> None:
    """Read a Celery application, MODULE:APP: tasks, routes, retries, rate limits, time limits, beat schedule."""
    _migrate(lambda: read_celery(app), **options)


@migrate_group.command("rq")
@click.argument("module", default="")
@click.option("--source", metavar="DIR", default="", help="Folder of Python files that call queue.enqueue(function).")
@_ZONE
@_with_output
def rq_command(*, module: str, source: str, timezone: str, **options: Any) -> None:
    """Read RQ: functions with @job and schedules of rq.cron.register of a MODULE, calls of queue.enqueue below DIR."""
    _migrate(lambda: read_rq(module, timezone, source), **options)


@migrate_group.command("apscheduler")
@click.argument("scheduler")
@_with_output
def apscheduler_command(*, scheduler: str, **options: Any) -> None:
    """Read the jobs of a scheduler of APScheduler 3, MODULE:SCHEDULER; it is not started."""
    _migrate(lambda: read_apscheduler(scheduler), **options)


@migrate_group.command("arq")
@click.argument("settings")
@_with_output
def arq_command(*, settings: str, **options: Any) -> None:
    """Read arq's functions and cron jobs, MODULE:WorkerSettings."""
    _migrate(lambda: read_arq(settings), **options)


@migrate_group.command("crontab")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--user", "form", flag_value="user", help="Read FILE as the crontab of a user: its lines name no user.")
@click.option("--system", "form", flag_value="system", help="Read FILE as a system crontab: each line names a user.")
@_ZONE
@_with_output
def crontab_command(*, file: str, form: str | None, timezone: str, **options: Any) -> None:
    """Read a crontab FILE; each line becomes a job of the task `shell`. `crontab import` registers them at once."""
    _migrate(lambda: read_crontab_file(file, form, timezone), **options)


def _migrate(
    read: Callable[[], Found], *, output: str | None, report: str | None, since: str | None, force: bool, as_json: bool
) -> None:
    """Read, compare and write. Exit code 2 for input that cannot be read, 1 for a part of it that has no equal."""
    try:
        start = datetime.now(UTC).replace(microsecond=0) if since is None else instant_at(read_instant(since, "UTC"))
        for path in filter(None, (output, report)):
            _check_target(path, force=force)
        found = read()
        comparisons = compare_all(found, start)
        module = write_module(found)
    except (InvalidInput, Misconfigured) as error:
        raise click.UsageError(str(error)) from None
    except JobistemerError as error:
        raise click.ClickException(str(error)) from None
    text = write_report(found, comparisons)
    _write(output, module, is_answer=not as_json)
    _write(report, text, is_answer=False, err=not as_json)
    if as_json:
        remarks = msgspec.to_builtins(found.remarks)
        print_json({"engine": found.engine, "remarks": remarks, "comparisons": comparisons, "module": module})
    if any(remark.verdict is Verdict.NO_EQUAL for remark in found.remarks):
        raise click.exceptions.Exit(1)


def _check_target(path: str, *, force: bool) -> None:
    if Path(path).exists() and not force:
        raise InvalidInput(f"{path!r} exists; give another name, or --force to replace it")
    if not Path(path).absolute().parent.is_dir():
        raise InvalidInput(f"{path!r} is in a folder that does not exist")


def _write(path: str | None, text: str, *, is_answer: bool, err: bool = False) -> None:
    if path is not None:
        Path(path).write_text(text, "utf-8")
        click.echo(f"written: {path}", err=True)
    elif is_answer or err:
        click.echo(text, err=err)
