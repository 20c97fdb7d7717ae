"""`manage.py jobistemer worker|ticker|deploy|…`: the commands of `jobistemer` with Django set up."""

from __future__ import annotations

from typing import Any

import click
from django.core.management.base import BaseCommand

from jobistemer.contrib.django.project import REFERENCE, get_app
from jobistemer.contrib.role_commands import RoleCommands
from jobistemer.store.namespace import Namespace


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
        """Run a command with the arguments after `manage.py jobistemer`."""
        self._run(argv[2:])

    def add_arguments(self, parser: Any) -> None:
        """Take whatever `call_command` is given."""
        parser.add_argument("arguments", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run a command for `call_command("jobistemer", "deploy")`."""
        self._run([*args, *options.get("arguments", ())])

    def _run(self, arguments: list[str]) -> None:
        group = DjangoCommands("jobistemer", help=self.help)
        group.main(args=arguments, prog_name="manage.py jobistemer")
