"""Settings of the processes: frozen values, validated once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.checks import check_name, check_range
from jobistemer.core.errors import Misconfigured
from jobistemer.core.sizes import DEFAULT_LOG_BYTES

WORKER_RANGES: Final = {
    "concurrency": (1, 1000),
    "lease_s": (1, 3600),
    "grace_s": (0, 86_400),
    "loop_block_s": (0.5, 3600),
    "max_leaked": (1, 10_000),
    "max_suspects": (1, 1000),
    "cancel_patience_s": (0, 3600),
    "max_log_bytes": (4_096, 16 * 1024**2),
    **dict.fromkeys(("max_runs", "max_memory_mib", "child_max_runs", "child_max_memory_mib"), (0, 10**9)),
}
TICKER_RANGES: Final = {
    "pass_s": (0.1, 60),
    "catch_up": (1, 1000),
    "max_jump_s": (0, 86_400 * 366),
    "jump_hold_s": (0, 86_400),
}


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a worker.

    concurrency: task runs at a time. queues: names with weights, `{"critical": 6, "default": 3}`; equal weights of 0
    mean strict order. lease_s: seconds without a beat after which its work is taken over. beat_s: seconds between
    beats, by which the worker learns which runs are to be cancelled. grace_s: seconds that running attempts may take to
    finish after SIGTERM. burst: end when the queues are empty. app: MODULE:APP, from which processes beside the worker
    import the handlers of `executor="process"`. max_runs, max_memory_mib: the worker ends in order after so many runs,
    or when it holds so much memory; 0 for never. child_max_runs, child_max_memory_mib: the same for a process beside
    it, which is replaced then; a process that takes more memory while it runs a handler is killed. loop_block_s: a
    coroutine that blocks the event loop for so many seconds keeps that loop for itself, and the other coroutines go on
    in a new one. max_leaked: the worker ends in order when so many threads that it gave up have not ended.
    cancel_patience_s: seconds that a handler in a thread which asks for a context may take to end in order after a
    cancel: `ctx.canceled` is true at once, and an exception is raised in its thread only then.
    max_suspects: how many runs that may have killed a worker are executed at a time, each in a process of its own.
    max_log_bytes: how many bytes of log lines and progress are kept of one attempt; the oldest lines go first.
    permissions: what the built-in tasks may do. Raises Misconfigured with the field, the value and what is allowed.
    """

    concurrency: int = 8
    queues: dict[str, int] = msgspec.field(default_factory=lambda: {"default": 0})
    lease_s: float = 15.0
    beat_s: float = 0.75
    grace_s: float = 30.0
    burst: bool = False
    app: str = ""
    max_runs: int = 0
    max_memory_mib: int = 0
    child_max_runs: int = 0
    child_max_memory_mib: int = 0
    loop_block_s: float = 5.0
    max_leaked: int = 10
    max_suspects: int = 2
    cancel_patience_s: float = 2.0
    max_log_bytes: int = DEFAULT_LOG_BYTES
    permissions: Permissions = Permissions()

    def __post_init__(self) -> None:
        _check_ranges(self, WORKER_RANGES)
        check_range("beat_s", self.beat_s, 0.05, self.lease_s / 3, Misconfigured)
        if not self.queues:
            raise Misconfigured("queues is empty; name at least one, such as `default`")
        for name, weight in self.queues.items():
            check_name("queue", name)
            check_range(f"weight of queue {name}", weight, 0, 1000, Misconfigured)


class TickerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a ticker.

    pass_s: seconds between two looks at the agenda when nothing is due. horizon_s: how many seconds ahead due instants
    are prepared. catch_up: instants of one job that are decided in one pass, so that a long outage of one job does not
    hold up the others. max_jump_s: a leap of the server's clock that is longer is not believed before it has lasted; 0
    believes every leap at once. jump_hold_s: how long it has to last, in seconds. Raises Misconfigured with the field,
    the value and what is allowed.
    """

    pass_s: float = 2.0
    horizon_s: float = 5.0
    catch_up: int = 100
    max_jump_s: float = 300.0
    jump_hold_s: float = 60.0

    def __post_init__(self) -> None:
        _check_ranges(self, TICKER_RANGES)
        check_range("horizon_s", self.horizon_s, self.pass_s, 3600, Misconfigured)


def _check_ranges(settings: msgspec.Struct, ranges: Mapping[str, tuple[float, float]]) -> None:
    for field, (low, high) in ranges.items():
        check_range(field, getattr(settings, field), low, high, Misconfigured)


def parse_queues(text: str) -> dict[str, int]:
    """Parse `critical:6,default:3,low` to names with weights; without weights the order is strict.

    Raises Misconfigured for a weight that is no whole number.
    """
    queues = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, weight = part.partition(":")
        if weight and not weight.isdecimal():
            raise Misconfigured(f"queues {text!r}: weight {weight!r} of {name!r} is no whole number")
        queues[name] = int(weight or 0)
    return queues
