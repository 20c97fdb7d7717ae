"""`jobistemer`: the group of all commands. A command's module is imported when the command is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from jobistemer import __version__

_COMMANDS: Final = {
    "acl": ("jobistemer.cli.commands.doctor:acl_command", "Print the least-privilege ACL rule of each role."),
    "audit": ("jobistemer.cli.commands.audit:audit_command", "Name every due instant that is not accounted for."),
    "bench": ("jobistemer.cli.commands.bench:bench_command", "Measure this machine and a server."),
    "backfill": ("jobistemer.cli.commands.backfill:backfill_group", "Backfills: list, show, cancel."),
    "crontab": ("jobistemer.cli.commands.crontab:crontab_group", "Crontabs: import."),
    "dashboard": ("jobistemer.cli.commands.dashboard:dashboard_command", "Serve the dashboard."),
    "dead": ("jobistemer.cli.commands.dead:dead_group", "Dead letters: list, show, replay, purge."),
    "deploy": ("jobistemer.cli.commands.deploy:deploy_command", "Register the jobs of an app."),
    "dev": ("jobistemer.cli.commands.dev:dev_command", "Run an app here, with a server of its own."),
    "doctor": ("jobistemer.cli.commands.doctor:doctor_command", "Look the server and the namespace over."),
    "enqueue": ("jobistemer.cli.commands.enqueue:enqueue_command", "Have a worker run a task."),
    "hold": ("jobistemer.cli.commands.hold:hold_group", "Holds: list, put, release."),
    "job": ("jobistemer.cli.commands.job:job_group", "Jobs: look, control, compare versions, backfill."),
    "next": ("jobistemer.cli.commands.next:next_command", "Show the next instants of a schedule."),
    "occurrence": ("jobistemer.cli.commands.occurrence:occurrence_group", "Occurrences: show, cancel, replay."),
    "queue": ("jobistemer.cli.commands.queue:queue_group", "Queues: list, pause, resume, drain, open, purge."),
    "run": ("jobistemer.cli.commands.run:run_group", "Task runs: show, cancel, watch."),
    "simulate": ("jobistemer.cli.commands.simulate:simulate_command", "Play the schedules of an app without a server."),
    "ticker": ("jobistemer.cli.commands.processes:ticker_group", "Tickers: list."),
    "top": ("jobistemer.cli.top.command:top_command", "Watch what goes on, live."),
    "worker": ("jobistemer.cli.commands.processes:worker_group", "Workers: list, quiet, stop."),
}


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands, and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; one that there is not is told with those that look like it."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            matches = get_close_matches(name, _COMMANDS, 3)
            hint = f" Did you mean {' or '.join(matches)}?" if matches else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C ends it with the exit code that shells know it by."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(130)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in sorted(_COMMANDS.items())])


@click.command("jobistemer", cls=LazyGroup)
@click.version_option(__version__, prog_name="jobistemer")
def main() -> None:
    """Distributed cron and job queue on Redis.

    Processes of their own: `jobistemer-ticker` and `jobistemer-worker`. Every command has --json, and exit
    codes for scripts: 0 done, 1 failed or not found, 2 wrong usage.
    """
