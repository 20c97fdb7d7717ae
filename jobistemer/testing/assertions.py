"""The assertions of a test: calls that were enqueued, occurrences, dead runs."""

from __future__ import annotations

from typing import Any

from jobistemer.app import Jobistemer
from jobistemer.core.checks import suggest
from jobistemer.core.errors import InvalidInput, UnknownJob, UnknownTask
from jobistemer.core.reads.summaries import DeadRun
from jobistemer.core.states import OccurrenceState
from jobistemer.testing.calls import Call, CallLog
from jobistemer.testing.failure_text import format_call, format_calls, format_occurrences, suggest_or_list
from jobistemer.testing.occurrences import Occurrence, list_occurrences
from jobistemer.testing.step_assertions import StepAssertions
from jobistemer.testing.times import When, format_instant, parse_instant_ms, to_datetime

COMPLETED = str(OccurrenceState.COMPLETED)


class Assertions(StepAssertions):
    """Asserts what has happened to an app since its test began. Tasks and jobs are given as objects or names."""

    def __init__(self, app: Jobistemer) -> None:
        self.app = app
        self._calls = CallLog(app)

    def enqueued(self, task: Any = None, /, **arguments: Any) -> list[Call]:
        """Return the calls of a task that have these arguments, in their order; of all tasks when none is given.

        Calls that have been executed are among them, see `state`. The runs of jobs are not: see `occurrences`.
        """
        __tracebackhide__ = True
        calls = self._calls.all("" if task is None else self._task_name(task, arguments))
        return [each for each in calls if not each.differs(arguments)]

    def assert_enqueued(self, task: Any, /, **arguments: Any) -> Call:
        """Fail unless a call of the task with these arguments was enqueued. Returns the first one."""
        __tracebackhide__ = True
        found = self.enqueued(task, **arguments)
        if found:
            return found[0]
        name, others = self._task_name(task, arguments), self._calls.all()
        wanted = (
            f"no call {format_call(name, arguments)} was enqueued" if arguments else f"no call of {name} was enqueued"
        )
        if not others:
            raise AssertionError(f"{wanted}, nor any other call")
        own = [each for each in others if each.task == name]
        listing = format_calls(own, arguments) if own else format_calls(others)
        raise AssertionError(f"{wanted}; {f'those of {name}' if own else 'what was enqueued'}:\n{listing}")

    def refute_enqueued(self, task: Any = None, /, **arguments: Any) -> None:
        """Fail if a call of the task with these arguments was enqueued, or of any task when none is given."""
        __tracebackhide__ = True
        found = self.enqueued(task, **arguments)
        if found:
            what = format_call(self._task_name(task, arguments), arguments) if task is not None else "any task"
            raise AssertionError(f"no call of {what} was to be enqueued, but there is:\n{format_calls(found)}")

    def occurrences(self, job: Any, /) -> list[Occurrence]:
        """Return the occurrences of a job that are still on record, in the order of their due instants."""
        __tracebackhide__ = True
        return list_occurrences(self.app, self._job_name(job))

    def assert_occurred(self, job: Any, /, *, at: When | None = None, outcome: str | None = COMPLETED) -> Occurrence:
        """Fail unless an occurrence of the job has this outcome, at that due instant. Returns the first one.

        at: a due instant; None for any. outcome: `completed`, `failed`, `skipped`, `missed`, … (see the states); None
        for any.
        """
        __tracebackhide__ = True
        found = self._find_occurrences(job, at, outcome)
        if found:
            return found[0]
        name = self._job_name(job)
        raise AssertionError(
            f"no occurrence of {name} {_describe_expected(at, outcome)}; {self._describe_history(name)}"
        )

    def refute_occurred(self, job: Any, /, *, at: When | None = None, outcome: str | None = COMPLETED) -> None:
        """Fail if an occurrence of the job has this outcome, at that due instant."""
        __tracebackhide__ = True
        found = self._find_occurrences(job, at, outcome)
        if found:
            wanted = f"no occurrence of {self._job_name(job)} was to be one that {_describe_expected(at, outcome)}"
            raise AssertionError(f"{wanted}, but there is:\n{format_occurrences(found)}")

    def dead(self, task: Any = None, /) -> list[DeadRun]:
        """Return the runs of a task, or of all tasks, that are out of attempts. `app.dead` replays and purges them."""
        __tracebackhide__ = True
        return list(self.app.dead.all("" if task is None else self._task_name(task, {})))

    def _find_occurrences(self, job: Any, at: When | None, outcome: str | None) -> list[Occurrence]:
        __tracebackhide__ = True
        if outcome is not None and outcome not in set(OccurrenceState):
            raise InvalidInput(f"outcome is {outcome!r}; {suggest_or_list(outcome, list(map(str, OccurrenceState)))}")
        due_at = None if at is None else to_datetime(parse_instant_ms("at", at))
        return [
            each
            for each in self.occurrences(job)
            if outcome in (None, each.state) and (due_at is None or each.at == due_at)
        ]

    def _describe_history(self, name: str) -> str:
        found = list_occurrences(self.app, name)
        if found:
            return f"what it has is:\n{format_occurrences(found)}"
        try:
            next_run = self.app.control.next_run(name)
        except UnknownJob:
            return "it is not deployed: jobs.advance(…) does that, and app.deploy()"
        return (
            f"it has none; the next is due at {format_instant(next_run)}"
            if next_run
            else "it has none, and will have none"
        )

    def _task_name(self, task: Any, arguments: dict[str, Any]) -> str:
        __tracebackhide__ = True
        name = task if isinstance(task, str) else getattr(task, "name", None)
        handler = self.app.handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            # A task of another app is allowed, by its name. A name that is like one of this app is taken for a typo.
            if isinstance(name, str) and not suggest(name, self.app.handlers):
                return name
            hint = suggest_or_list(str(name), self.app.handlers)
            raise UnknownTask(f"this app has no task {name or task!r:.80}; {hint}")
        known = handler.parameters
        for each in arguments:
            if each not in known:
                raise InvalidInput(f"task {name!r} has no parameter {each!r}; {suggest_or_list(each, known)}")
        return handler.name

    def _job_name(self, job: Any) -> str:
        __tracebackhide__ = True
        name = job if isinstance(job, str) else getattr(job, "name", None)
        declared = self.app.declarations
        if not isinstance(name, str) or (name not in declared and not _is_registered(self.app, name)):
            raise UnknownJob(f"this app has no job {name or job!r:.80}; {suggest_or_list(str(name), declared)}")
        return name


def _is_registered(app: Jobistemer, name: str) -> bool:
    """Return whether a job was put at run time; those of the app are registered when the clock is advanced."""
    try:
        return bool(app.control.find(name))
    except (UnknownJob, InvalidInput):
        return False


def _describe_expected(at: When | None, outcome: str | None) -> str:
    what = "is on record" if outcome is None else f"is {outcome}"
    return what if at is None else f"{what} at {format_instant(to_datetime(parse_instant_ms('at', at)))}"
