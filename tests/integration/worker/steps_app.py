"""The application of the processes in test_steps_at_work.py: each effect is a line in a ledger outside of the server."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from jobistemer import NO_RETRIES, Context, Jobistemer

app = Jobistemer()
STEPS = 4
SHARES = 10


def note(folder: str, text: str) -> str:
    with (Path(folder) / "ledger").open("a") as ledger:
        ledger.write(f"{text}\n")
    return text


def die(folder: str, point: str) -> None:
    """Kill this process, the first time that it comes here."""
    mark = Path(folder) / f"killed {point}"
    if not mark.exists() and (Path(folder) / "point").read_text() == point:
        mark.touch()
        # The worker itself, also where the handler runs in a process beside it.
        os.kill(os.getpid(), signal.SIGKILL)


def within(folder: str, number: int) -> str:
    die(folder, f"before the effect of {number}")
    note(folder, f"step {number}")
    die(folder, f"after the effect of {number}")
    return f"done {number}"


@app.task(retry=NO_RETRIES)
def walk(folder: str, ctx: Context) -> list[str]:
    """Take some steps with kill points between and within them, a sleep among them."""
    found = []
    for number in range(STEPS):
        die(folder, f"between, before {number}")
        found.append(ctx.step("walk", within, folder, number, key=number))
        if number == 1:
            ctx.sleep(timedelta(seconds=1))
    die(folder, "at the end")
    return found


@app.task(retry=NO_RETRIES)
def long(folder: str, name: str, ctx: Context) -> int:
    """Ten short steps, as a run that meets several deploys."""
    for number in range(SHARES):
        ctx.step("share", note, folder, f"{name} {number} began", key=number)
        # Without a step around it: what is interrupted here costs nothing.
        time.sleep(0.05)
    return ctx.attempt


@app.task(retry=NO_RETRIES)
async def along(folder: str, name: str, ctx: Context) -> int:
    """The same as a coroutine."""
    for number in range(SHARES):
        await ctx.step_async("share", note, folder, f"{name} {number} began", key=number)
        await ctx.sleep_async(0.05)
    return ctx.attempt
