"""The commands of `jobistemer` among those of a web framework: `flask jobistemer …`, `manage.py jobistemer …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import ClassVar

import click

from jobistemer.app.project import NAMESPACE_VARIABLE, URL_VARIABLE, tell_app
from jobistemer.cli.root import LazyGroup
from jobistemer.store.namespace import Namespace

_PROCESSES = {
    "ticker": ("jobistemer.cli.commands.ticker:ticker_command", "Fire the due jobs."),
    "worker": ("jobistemer.cli.commands.worker:worker_command", "Run the tasks of this application."),
}


class RoleCommands(LazyGroup):
    """The commands of `jobistemer`; `worker` and `ticker` start these roles, `workers` and `tickers` list them.

    reference: MODULE:APP that commands load, and the processes which they start.
    """

    reference: ClassVar[str] = ""
    table: ClassVar[Mapping[str, tuple[str, str]]] = {
        **LazyGroup.table,
        **_PROCESSES,
        "tickers": LazyGroup.table["ticker"],
        "workers": LazyGroup.table["worker"],
    }

    def find_namespace(self, ctx: click.Context) -> Namespace:
        """Return the namespace of the application."""
        raise NotImplementedError

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and let it and the processes that it starts load the application."""
        found = super().resolve_command(ctx, args)
        namespace = self.find_namespace(ctx)
        # The commands that load no application are told by the environment where the server of this one is. What the
        # application leaves out it has from the environment itself; what it says counts against the environment.
        os.environ["JOBISTEMER_APP"] = self.reference
        for variable, value in ((URL_VARIABLE, namespace.url), (NAMESPACE_VARIABLE, namespace.name)):
            tell_app(variable, value, f"the app {self.reference}")
        if found[0] in _PROCESSES:
            # A supervisor starts its processes with these arguments, and nothing of the framework stands before them.
            sys.argv[1:] = found[2]
        return found
