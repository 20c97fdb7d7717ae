"""The option for the author of a change."""

from __future__ import annotations

import click

by_option = click.option(
    "--by",
    envvar="JOBISTEMER_BY",
    show_envvar=True,
    help="Name to record for this change, by default the system user; `job log` and `changes` show it.",
)
