"""`jobistemer occurrence`: single due instants."""

from __future__ import annotations

import click

from jobistemer.cli.backfill import replay_command


@click.group("occurrence")
def occurrence_group() -> None:
    """Look at single occurrences, and run them once more."""


occurrence_group.add_command(replay_command)
