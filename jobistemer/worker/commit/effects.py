"""What a handler has collected, on its way to the server with the outcome of its attempt."""

from __future__ import annotations

from jobistemer.core.runs.settle import SUCCEEDED, Settlement
from jobistemer.store.calls import runs, transactions
from jobistemer.store.calls.runs import EndedAttempt
from jobistemer.store.scripts import ScriptCall
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.commit.hook_notifier import HookNotifier


def add_transaction(attempt: Attempt, ending: Settlement, commit: ScriptCall) -> ScriptCall:
    """The call that commits and applies the handler's transaction; the plain one when there is none to apply."""
    transaction = attempt.tools.pending_transaction if attempt.tools is not None and ending == SUCCEEDED else None
    if transaction is None:
        return commit
    follow_ups = [call for _, call in transaction.follow_ups]
    return transactions.commit_transaction(attempt.delivery, commit, transaction.writes, follow_ups)


def final_log_calls(attempt: Attempt, ended: EndedAttempt, ending: Settlement) -> list[ScriptCall]:
    """The calls that bring the attempt's notes up to date before its outcome, and let them expire with it."""
    if attempt.tools is None or not attempt.tools.log_buffer.has_content:
        return []
    return attempt.tools.log_buffer.calls(attempt.database.keys, attempt.delivery, runs.attempt_keep_ms(ended, ending))


def notify_hooks(hook_notifier: HookNotifier, attempt: Attempt, ended: EndedAttempt, ending: Settlement) -> None:
    """Have hooks told of an end that is on record, and of the runs that were created with it."""
    hook_notifier.notify((ended, ending))
    transaction = attempt.tools.pending_transaction if attempt.tools is not None and ending == SUCCEEDED else None
    for message, _ in transaction.follow_ups if transaction is not None else ():
        hook_notifier.notify(message)
