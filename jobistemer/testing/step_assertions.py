"""Durable handlers in a test: their steps are asserted, and signals are sent to them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from jobistemer.app import Jobistemer, RunHandle
from jobistemer.control.signals import require_run
from jobistemer.core.runs.steps import StepView
from jobistemer.store.reads.durable.steps import list_steps

NOT_GIVEN: Final = object()


class StepAssertions:
    """The steps and signals of the app under test."""

    app: Jobistemer

    def run_until_idle(self, *, raise_on_failure: bool = True) -> int:
        """Run all that is due at this instant. Returns the number of attempts."""
        raise NotImplementedError

    def signal(self, run: str | RunHandle[Any], name: str, value: Any = None, **options: Any) -> int:
        """Send a signal as `app.signal` does, and run all that is due then. Returns the number of attempts.

        Raises HandlerFailed, or what `app.signal` raises.
        """
        __tracebackhide__ = True
        self.app.signal(run, name, value, **options)
        return self.run_until_idle()

    def steps(self, run: str | RunHandle[Any], /) -> list[StepView]:
        """Return the steps of a run that are on record, sleeps and waits included, in their order."""
        database, _ = require_run(self.app.namespace, _id_of(run))
        return list_steps(database, _id_of(run))

    def assert_step(
        self, run: str | RunHandle[Any], name: str, /, *, state: str = "done", result: Any = NOT_GIVEN
    ) -> StepView:
        """Fail unless a step of the run has this state, and this result when one is given. Returns the step.

        name: with its key, as in `export[7]`. state: done, failed, waiting or going on. result: as JSON says it.
        """
        __tracebackhide__ = True
        found = {each.name: each for each in self.steps(run)}
        listing = ", ".join(f"{each.name} ({each.state})" for each in found.values()) or "none"
        step = found.get(name)
        if step is None:
            raise AssertionError(f"run {_id_of(run)} has no step {name!r}; on record are: {listing}")
        if step.state != state:
            raise AssertionError(f"step {name!r} is {step.state}, and not {state}; on record are: {listing}")
        if result is not NOT_GIVEN and (got := msgspec.json.decode(step.result)) != msgspec.to_builtins(result):
            raise AssertionError(f"step {name!r} has the result {got!r}, and not {result!r}")
        return step


def _id_of(run: str | RunHandle[Any]) -> str:
    return run if isinstance(run, str) else run.id
