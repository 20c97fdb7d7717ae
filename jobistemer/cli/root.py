"""`jobistemer`: the group of all commands. The module of a command is imported when the command is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

import click

from jobistemer import __version__
from jobistemer.cli.usage_errors import SafeErrors
from jobistemer.core.checks import find_close

# The help lines stand here as well as in the commands: `--help` would otherwise have to import all of them.
_COMMANDS: Final = {
    "acl": ("jobistemer.cli.commands.doctor:acl_command", "Print the least-privilege ACL rule of each role."),
    "answer": ("jobistemer.cli.commands.durable.questions:answer_command", "Answer the question of a run."),
    "audit": ("jobistemer.cli.commands.audit:audit_command", "Find due instants that have no record, or two."),
    "backfill": ("jobistemer.cli.commands.job.backfill:backfill_group", "List, show and cancel backfills."),
    "bench": ("jobistemer.cli.commands.bench:bench_command", "Measure this machine and a server."),
    "changes": ("jobistemer.cli.commands.changes:changes_command", "List what people have changed."),
    "crontab": ("jobistemer.cli.commands.crontab:crontab_group", "Turn crontabs into jobs."),
    "dashboard": ("jobistemer.cli.commands.dashboard:dashboard_command", "Serve the dashboard."),
    "dead": ("jobistemer.cli.commands.dead:dead_group", "List, show, replay and purge dead letters."),
    "deploy": ("jobistemer.cli.commands.deploy:deploy_command", "Register the jobs of an app."),
    "dev": ("jobistemer.cli.commands.dev:dev_command", "Run an app locally, with a server of its own."),
    "doctor": ("jobistemer.cli.commands.doctor:doctor_command", "Check the server and the namespace."),
    "enqueue": ("jobistemer.cli.commands.enqueue:enqueue_command", "Enqueue a run of a task."),
    "hold": ("jobistemer.cli.commands.hold:hold_group", "List, put and release holds."),
    "job": ("jobistemer.cli.commands.job.job:job_group", "Show and control jobs, compare versions, backfill."),
    "migrate": ("jobistemer.cli.migrate:migrate_group", "Move from Celery, RQ, APScheduler, arq or crontab."),
    "next": ("jobistemer.cli.commands.next:next_command", "Show the next instants of a schedule."),
    "occurrence": ("jobistemer.cli.commands.occurrence:occurrence_group", "Show, cancel and replay occurrences."),
    "purge": ("jobistemer.cli.purge:purge_group", "Delete runs that ended long ago."),
    "quarantine": (
        "jobistemer.cli.commands.quarantine:quarantine_group",
        "List, restore and purge what cannot be read.",
    ),
    "questions": ("jobistemer.cli.commands.durable.questions:questions_command", "List what runs ask people."),
    "queue": ("jobistemer.cli.commands.queue:queue_group", "List, pause, resume, drain, open and purge queues."),
    "run": ("jobistemer.cli.commands.run:run_group", "List, show, cancel, retry and watch task runs."),
    "signal": ("jobistemer.cli.commands.durable.signal:signal_command", "Send a signal to a run that waits for it."),
    "simulate": ("jobistemer.cli.commands.simulate:simulate_command", "Play the schedules of an app without a server."),
    "stats": ("jobistemer.cli.top.stats:stats_command", "Count the runs that wait, run and have ended."),
    "task": ("jobistemer.cli.commands.task:task_group", "List the tasks of an app."),
    "ticker": ("jobistemer.cli.commands.processes:ticker_group", "List tickers; `jobistemer-ticker` starts one."),
    "top": ("jobistemer.cli.top.command:top_command", "Watch the namespace live."),
    "worker": (
        "jobistemer.cli.commands.processes:worker_group",
        "List, quiet and stop workers; `jobistemer-worker` starts one.",
    ),
}


class LazyGroup(SafeErrors, click.Group):
    """A group that has the names and help lines of its commands, and imports a command when it is used.

    table: by name where each command is, and its help line.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]] = _COMMANDS

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted(self.table)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it; None when there is no such command."""
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name. Raises UsageError, with similar names, when there is none."""
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            matches = find_close(name, self.table, 3)
            hint = f" Did you mean {' or '.join(matches)}?" if matches else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C ends it with exit code 130, as shells expect."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(130)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in sorted(self.table.items())])


@click.command("jobistemer", cls=LazyGroup)
@click.version_option(__version__, prog_name="jobistemer")
def main() -> None:
    """Distributed cron and job queue on Redis.

    `jobistemer-ticker` and `jobistemer-worker` are programs of their own. Commands that answer have --json. Exit codes:
    0 done, 1 failed or not found, 2 wrong usage or a value that cannot be accepted.
    """
