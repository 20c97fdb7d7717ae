"""`manage.py jobistemer worker|ticker|deploy|…`: the commands of `jobistemer` with Django set up."""

from __future__ import annotations

from argparse import REMAINDER
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobistemer.contrib.django.project import REFERENCE, get_app
from jobistemer.contrib.role_commands import RoleCommands
from jobistemer.store.namespace import Namespace

PROGRAM = "manage.py jobistemer"


class DjangoCommands(RoleCommands):
    """The commands for the app of this project."""

    reference = REFERENCE

    def find_namespace(self, ctx: click.Context) -> Namespace:  # noqa: ARG002 - a project has one app
        """Return the namespace that the settings name."""
        return get_app().namespace


class Command(BaseCommand):
    """It hands all arguments on: their options are those of `jobistemer`."""

    help = "Run and look after the jobs of this project: worker, ticker, deploy, job list, …"

    def run_from_argv(self, argv: list[str]) -> None:
        """Run a command with the arguments after `manage.py jobistemer`, without those that Django has read."""
        parser = CommandParser(add_help=False, allow_abbrev=False)
        for option in ("--settings", "--pythonpath"):
            parser.add_argument(option)
        _, arguments = parser.parse_known_args(argv[2:])
        self._make_group().main(args=arguments, prog_name=PROGRAM)

    def add_arguments(self, parser: Any) -> None:
        """Take whatever `call_command` is given."""
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run a command for `call_command("jobistemer", "deploy", "--yes")`.

        Raises CommandError, with the exit code as `returncode`, for a command that fails or was not confirmed.
        """
        arguments = [*args, *options.get("arguments", ())]
        try:
            code = self._make_group().main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        except click.ClickException as error:
            raise CommandError(error.format_message(), returncode=error.exit_code) from error
        except click.Abort as error:
            message = f"jobistemer {' '.join(arguments)} was not confirmed, or interrupted"
            raise CommandError(message, returncode=1) from error
        except SystemExit as ended:
            code = ended.code
        if code:
            raise CommandError(f"jobistemer {' '.join(arguments)} ended with {code}", returncode=code)

    def _make_group(self) -> DjangoCommands:
        return DjangoCommands("jobistemer", help=self.help)
