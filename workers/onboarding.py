"""A durable handler: steps that are not repeated, a sleep of days, a wait for a person.

jobistemer dev workers.onboarding:app
jobistemer enqueue onboard '{"customer": "ann"}' --app workers.onboarding:app
jobistemer run steps RUN
jobistemer signal RUN approved '{"yes": true}'

Kill the worker between two steps and start it again: it goes on behind the last step that is on record.
"""

from __future__ import annotations

import os

import msgspec

from jobistemer import Context, Exponential, Jobistemer

app = Jobistemer()
# Three days in earnest.
PAUSE_S = float(os.environ.get("ONBOARDING_PAUSE_S", "5"))
done: list[str] = []


class Approval(msgspec.Struct):
    """The answer of a person."""

    yes: bool
    note: str = ""


def create_account(customer: str) -> int:
    """Make an account; a second call would make a second one, so it is a step."""
    done.append(f"account of {customer}")
    print(done[-1], flush=True)
    return len(done)


def send_mail(customer: str) -> None:
    """Send a mail, which nobody wants twice."""
    done.append(f"mail to {customer}")
    print(done[-1], flush=True)


def close_account(account: int) -> None:
    """Undo what was made."""
    done.append(f"account {account} closed")
    print(done[-1], flush=True)


@app.task
def onboard(ctx: Context, customer: str) -> str:
    """Read from top to bottom; between two lines there may be a deploy, a crash, or days."""
    account = ctx.step("create-account", create_account, customer)
    ctx.step("welcome-mail", send_mail, customer, retry=Exponential(max_retries=5))
    ctx.sleep(PAUSE_S)
    answer = ctx.wait_for("approved", Approval, timeout=7 * 86_400)
    if answer is None or not answer.yes:
        ctx.step("close", close_account, account)
        return f"{customer} was turned down"
    return f"{customer} has account {account}"
