"""`jobistemer signal`: send a value to a run whose handler waits for it."""

from __future__ import annotations

import click
import msgspec

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.control.signals import signal_run
from jobistemer.core.errors import InvalidPayload
from jobistemer.runtime.process_info import user_name


@click.command("signal")
@click.argument("run_id")
@click.argument("name")
@click.argument("value", default="null")
@click.option("--id", "signal_id", default="", metavar="ID", help="A signal that was sent before counts once.")
@by_option
@with_session
def signal_command(session: Session, run_id: str, name: str, value: str, signal_id: str, by: str | None) -> None:
    """Send the signal NAME with a VALUE in JSON to a run, whose handler waits for it by ctx.wait_for.

    A run that does not wait for it yet gets it when it does. Exit code 1 when a signal of this id was sent before.
    """
    try:
        decoded = msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise InvalidPayload(f"the value is {value!r:.100}, which is no JSON: {error}; texts have quotes") from None
    author = by or user_name()
    is_new = signal_run(session.namespace, run_id, name, decoded, signal_id=signal_id, by=author)
    said = (
        f"signal {name} was sent to {run_id}" if is_new else f"signal {signal_id} was sent before; nothing was changed"
    )
    session.print_answer({"run": run_id, "signal": name, "new": is_new}, lambda: said)
    if not is_new:
        raise click.exceptions.Exit(1)
