"""The call that records an outcome together with the writes and the runs that its handler has collected."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.transaction import Write
from jobistemer.store.keys import type_of
from jobistemer.store.scripts import ScriptCall, compose

_CHECKED: Final = ("hash", "zset", "set", "stream", "string")
"""The types in whose order the script takes the keys that it looks at before its first write."""


def commit_transaction(
    delivery: Delivery, commit: ScriptCall, writes: Sequence[Write], follow_ups: Sequence[ScriptCall]
) -> ScriptCall:
    """Build the call that executes `commit` and, in the same atomic step, the writes and the calls that enqueue."""
    calls = [commit, *follow_ups]
    written = {key for call in follow_ups for key in call.keys}
    checked = {of_type: sorted(key for key in written if type_of(key) == of_type) for of_type in _CHECKED}
    steps: list[Any] = []
    for write in writes:
        steps += (write.command, write.form.kind, write.form.adds, len(write.args), *write.args)
    steps += [part for call in calls for part in (call.script.name, len(call.keys), len(call.args), *call.args)]
    # A copy of the commit with another script, so that the extensions of the commit are kept.
    return commit._replace(
        script=compose("commit_transaction", tuple(sorted({call.script.name for call in calls}))),
        keys=(
            delivery.stream.decode(),
            *(write.key for write in writes),
            *chain.from_iterable(checked.values()),
            *(key for call in calls for key in call.keys),
        ),
        args=(delivery.entry, len(writes), len(calls), *map(len, checked.values()), *_encode_floats(steps)),
    )


def _encode_floats(values: list[Any]) -> list[Any]:
    # repr keeps every digit of a float, and Redis reads it back as the same number.
    return [repr(value) if isinstance(value, float) else value for value in values]
