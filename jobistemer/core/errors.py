"""Every error that Jobistemer raises on purpose.

    JobistemerError
    ├── InvalidInput               the caller's mistake: fix the call
    │   ├── InvalidSchedule            a schedule that is not possible, with the field and the reason
    │   ├── InvalidDefinition          a job or task that cannot be registered
    │   ├── InvalidName                a name that may not enter a key
    │   ├── InvalidPayload             a payload that does not fit the task, with the path of the field
    │   │   └── RefusedInput               what a run is given can never fit its task: it is dead, without a retry
    │   ├── PayloadTooLarge            a payload or result above its limit
    │   ├── InvalidStep                a step that cannot be done as it is asked for
    │   │   └── StepsDiffer                the steps on record are not those that the handler asks for
    │   └── Misconfigured              a setting that is not possible, or a server that cannot be used
    ├── NotFound                   a name or an id that is not registered
    │   ├── UnknownJob
    │   ├── UnknownVersion
    │   ├── UnknownTask
    │   ├── UnknownOccurrence
    │   └── UnknownRun
    ├── Conflict                   another caller was faster: look again
    │   ├── DuplicateRun               the unique key belongs to another run
    │   ├── QueueClosed                the queue is being drained
    │   ├── RunEnded                   the run has ended, so it takes no signal
    │   └── StaleDefinition            the job has a newer version
    ├── UnreadableRecord           what is stored cannot be read: a newer version, a fault or a hand has written it
    ├── NotConnected               the server does not answer
    ├── ServerRefused              the server answered with an error: out of memory, read only, no permission
    ├── StartFailed                this worker has not begun: a function of on_worker_start has raised an exception
    ├── WornOut                    this worker has ended because it is no longer healthy; start a fresh one
    ├── StepFailed                 a step that is on record as failed
    ├── ResultTimeout              the run has not ended within the time given
    └── RunFailed                  the run whose result was asked for ended without one

The first level says whose fault an error is, because that decides what a caller does about it; the second says what
went wrong. Messages carry the value and the remedy.
"""

from __future__ import annotations

from jobistemer.core.safe_text import escape_text


class JobistemerError(Exception):
    """Base of all errors of this package."""


class InvalidInput(JobistemerError, ValueError):
    """A value that cannot be accepted; nothing was written."""


class InvalidSchedule(InvalidInput):
    """A schedule that is not possible: the message names the field, the value and the reason."""


class InvalidDefinition(InvalidInput):
    """A job or a task that cannot be registered as it stands."""


class InvalidName(InvalidInput):
    """A name with characters or a length that may not enter a Redis key."""


class InvalidPayload(InvalidInput):
    """A payload that does not fit its task: the message has the path of the bad field."""


class RefusedInput(InvalidPayload):
    """What this run is given, or gives to others, can never fit: it ends as dead, because a retry would find the same.

    Raised in a worker: for a payload, a result of an earlier task, an item of `Results`, or the reducer of `ctx.map`.
    """


class PayloadTooLarge(InvalidInput):
    """A payload or a result above the size limit of its app."""


class InvalidStep(InvalidInput):
    """A step that cannot be done as it is asked for: another attempt would ask for the same."""


class StepsDiffer(InvalidStep):
    """The steps on record do not fit those that the handler asks for: its code has changed."""


class Misconfigured(InvalidInput):
    """A setting that is not possible, or a server that cannot be used as it is."""


class NotFound(JobistemerError, LookupError):
    """A name or an id that is not registered."""

    def __init__(self, *parts: object) -> None:
        # A name that was asked for may hold anything, also what moves a terminal's cursor.
        super().__init__(*(escape_text(each) if isinstance(each, str) else each for each in parts))


class UnknownJob(NotFound):
    """No job of this name is registered."""


class UnknownVersion(NotFound):
    """No version of this number is on record for the job."""


class UnknownTask(NotFound):
    """No task of this name is registered on this app."""


class UnknownOccurrence(NotFound):
    """No record of this occurrence: it never existed, or its retention is over."""


class UnknownRun(NotFound):
    """No record of this run: it never existed, or its retention is over."""


class Conflict(JobistemerError):
    """Another caller was faster, or the state has changed: look again."""


class DuplicateRun(Conflict):
    """Another run holds this unique key."""


class QueueClosed(Conflict):
    """The queue is being drained and takes no new runs."""


class RunEnded(Conflict):
    """The run has ended, so it takes no signal."""


class StaleDefinition(Conflict):
    """The stored job has a newer version than the one given."""


class UnreadableRecord(JobistemerError):
    """What is stored cannot be read: a newer version, a fault or a hand has written it. Everything else goes on."""


class NotConnected(JobistemerError, ConnectionError):
    """The server does not answer."""


class ServerRefused(JobistemerError):
    """The server answered with an error: out of memory, read only, no permission."""


class StartFailed(JobistemerError):
    """This worker has not begun, because a function of `on_worker_start` has raised an exception."""


class WornOut(JobistemerError):
    """This worker has ended in order because it is no longer healthy: its supervisor starts a fresh one."""


class StepFailed(JobistemerError):
    """A step that is on record as failed: the handler went on without it in an earlier attempt."""


class ResultTimeout(JobistemerError, TimeoutError):
    """The run has not ended within the time given."""


class RunFailed(JobistemerError):
    """The run ended without a result; the message has its state and last error.

    run: its id. state: how it ended. attempts: how many it had, one that it ended before included. error: its last
    error, empty for none.
    """

    def __init__(self, message: str, *, run: str = "", state: str = "", attempts: int = 0, error: str = "") -> None:
        super().__init__(message)
        self.run, self.state, self.attempts, self.error = run, state, attempts, error
