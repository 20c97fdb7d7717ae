"""Numbers of a namespace, a queue or a task: what there is to do now, and what has ended since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import msgspec

from jobistemer.core.states import RunState


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of runs in one answer.

    pending: they wait for a slot: on a queue, for a limit, or fetched by a worker and not begun. running: a slot
    executes them, as the workers said with their last beat, 0.75 s ago at most. delayed: they wait for their time or
    for their next attempt. ended: by terminal state, counted where the ends were recorded, since the instant `since`,
    at which a day begins (UTC); 31 days are kept. exact: false when more than 10,000 runs wait and only these were
    looked at, as is done for one task, and for one queue among the delayed.
    """

    pending: int
    running: int
    delayed: int
    ended: dict[str, int]
    since: datetime
    exact: bool = True

    @property
    def completed(self) -> int:
        """Return how many runs succeeded."""
        return self.ended.get(RunState.SUCCEEDED, 0)

    @property
    def failed(self) -> int:
        """Return how many runs failed or timed out, without those that are dead."""
        return self.ended.get(RunState.FAILED, 0) + self.ended.get(RunState.TIMED_OUT, 0)

    @property
    def dead(self) -> int:
        """Return how many runs died."""
        return self.ended.get(RunState.DEAD, 0)

    @property
    def canceled(self) -> int:
        """Return how many runs were canceled."""
        return self.ended.get(RunState.CANCELED, 0)


def count_states(counts: Mapping[str, int], queue: str, task: str = "", *, part: str = "") -> Counter[str]:
    """Count by state what is counted by `<state> <queue> <task>`; see `is_of` for the choice."""
    found: Counter[str] = Counter()
    for field, number in counts.items():
        state, _, of = field.partition(" ")
        if is_of(of, queue, task, part=part):
            found[state] += number
    return found


def is_of(of: str, queue: str, task: str = "", *, part: str = "") -> bool:
    """Return whether a `<queue> <task>` is of a queue and of a task, empty for all.

    part: a text that the name of the task contains, whatever its case.
    """
    its_queue, _, its_task = of.partition(" ")
    return queue in {"", its_queue} and task in {"", its_task} and part.casefold() in its_task.casefold()
