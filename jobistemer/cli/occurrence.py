"""`jobistemer occurrence`: one due instant of a job."""

from __future__ import annotations

import click

from jobistemer.app.cancelling import BY_HAND, cancel_occurrence
from jobistemer.cli.session import Session, operating


@click.group("occurrence")
def occurrence_group() -> None:
    """Cancel occurrences."""


@occurrence_group.command("cancel")
@click.argument("occurrence")
@click.option("--reason", default=BY_HAND, show_default=True, help="What its record says.")
@operating
def cancel_command(session: Session, occurrence: str, reason: str) -> None:
    """Cancel an occurrence with all its runs: what waits ends at once, what runs within a second."""
    word = cancel_occurrence(session.namespace, occurrence, reason)
    session.answer({"occurrence": occurrence, "answer": word}, lambda: SAID[word].format(occurrence))
    if word == "ended":
        raise click.exceptions.Exit(1)


SAID = {
    "canceled": "{} is canceled",
    "requested": "{} is being canceled: its worker has been asked and ends it within a second",
    "ended": "{} had ended before; nothing was changed",
}
