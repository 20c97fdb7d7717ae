"""Commit: record the attempts that have ended. Outcomes that arrive while a commit is under way go with the next one.

An outcome becomes an `EndedAttempt` once, with its times and with what becomes of the run; that becomes a call. A call
may be sent twice, when its answer was lost: the script knows the second one by the entry, which the first one removed,
and by the times.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from operator import itemgetter
from queue import Empty, SimpleQueue

from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.core.runs.settle import CANCELED, SUCCEEDED, Outcome, Settlement, settle
from jobistemer.core.states import AttemptState
from jobistemer.store.calls import bulk_commit
from jobistemer.store.calls.ended_attempt import EndedAttempt, read_elapsed_ms
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import Prefetch
from jobistemer.worker.commit.effects import CommitEffects, final_log_calls, log_postponed, log_stale, release_permits

MAX_BATCH = 200
"""How many go with one send: a fifth of what is in flight at most, so that the server records one part while slots work
on the next (decision 0001)."""
WAIT_S = 0.5
"""How long a committer waits for an outcome before it looks whether it is to end."""
RETRY_S = 0.5
"""How long outcomes that the server refused wait before they are sent again, one by one."""

_ATTEMPT_OF = itemgetter(0)
Bundle = list[tuple[Attempt, EndedAttempt]]
"""Plain successes that one call records."""


class FinishedQueue:
    """The attempts of a shard that have ended and are not recorded yet; two committers take them."""

    def __init__(self) -> None:
        self._ended: SimpleQueue[Attempt | None] = SimpleQueue()
        self._overflow = threading.Event()
        self.put = self._ended.put
        """Hand over an attempt that has ended; None lets the committer that waits wait no more."""

    def end(self) -> None:
        """Let the committers wait no more: no attempt will come."""
        # One of the two waits in the queue and the other for the event; each is woken where it waits.
        self.put(None)
        self._overflow.set()

    @property
    def is_empty(self) -> bool:
        """Return whether no attempt is there to be taken."""
        return self._ended.empty()

    def take(self, limit: int, wait_s: float = WAIT_S) -> list[Attempt]:
        """Wait for the first attempt and take those that are there; where there may be more, wake the helper."""
        # Whatever is there goes together, without a wait for more: under light load that is one run in one round trip,
        # and while a send is on the wire the next ones gather by themselves.
        taken: list[Attempt] = []
        with suppress(Empty):
            attempt = self._ended.get(timeout=wait_s)
            while attempt is not None:
                taken.append(attempt)
                if len(taken) >= limit:
                    # An event and no second queue: the helper sleeps until one committer is not enough.
                    self._overflow.set()
                    break
                attempt = self._ended.get_nowait()
        return taken

    def take_overflow(self, limit: int) -> list[Attempt]:
        """Wait until there are more attempts than one committer could take, and take some of them."""
        self._overflow.wait(WAIT_S)
        self._overflow.clear()
        return self.take(limit, 0.0)


class Committer:
    """One thread of a worker that records outcomes of a shard; none that it holds is lost when the server is away.

    shared_queue: the queue of another committer that this one helps: it takes what is left over when one send is full.
    """

    def __init__(self, prefetch: Prefetch, effects: CommitEffects, shared_queue: FinishedQueue | None = None) -> None:
        self._prefetch = prefetch
        self._effects = effects
        self.finished = shared_queue or FinishedQueue()
        self._take_batch = self.finished.take_overflow if shared_queue else self.finished.take
        # Kept until all of it was answered: after a lost connection the same batch is sent again, whole.
        self._batch: list[Attempt] = []
        # Outcomes that the server refused. Their entries stay this worker's, so they are tried until it takes them.
        self._postponed: dict[Attempt, None] = {}
        self._retry_at = 0.0
        # Whose answer has come in this step; and in an earlier one of the same batch, which is sent again as a whole:
        # they are counted and reported once.
        self._answered: list[Attempt] = []
        self._reported: set[Attempt] = set()
        # Whether each of the batch goes by itself: of those that were refused together one may be the cause.
        self._one_by_one = False
        self.counts: Counter[str] = Counter()

    def step(self) -> None:
        """Wait for outcomes, then commit all that are there. On an error the same batch is sent again."""
        if not self._batch:
            if self._postponed and time.monotonic() >= self._retry_at:
                self._take_postponed()
            else:
                self._one_by_one = False
                self._batch = self._take_batch(MAX_BATCH)
        batch = self._batch
        if not batch:
            return
        if self._postponed:
            # When the batch is sent again, its refusals are counted anew.
            for attempt in batch:
                self._postponed.pop(attempt, None)
        try:
            self._commit(batch[0].database, batch)
        except NotConnected:
            raise
        except Exception:  # noqa: BLE001 - sent again as it is, the batch would hold up all that come after it
            self._commit_each(batch)
        # Room is made only now: what is taken in its place must not pile up while the server records nothing.
        ended = [attempt for attempt in batch if attempt not in self._postponed] if self._postponed else batch
        self._batch, self._answered = [], []
        if self._reported:
            self._reported &= self._postponed.keys()
        self._prefetch.finish(
            [attempt.key for attempt in ended], sum([attempt.ended - attempt.started for attempt in ended])
        )

    def _commit_each(self, batch: list[Attempt]) -> None:
        """Commit attempts one by one, and those later that cannot be committed. Raises NotConnected."""
        for attempt in batch:
            try:
                self._commit(attempt.database, [attempt])
            except NotConnected:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with this one, the others are recorded
                self._postpone(attempt, error)

    def _take_postponed(self) -> None:
        self._one_by_one = True
        self._retry_at = time.monotonic() + RETRY_S
        self._batch, self._postponed = list(self._postponed), {}

    def _commit(self, database: Database, attempts: list[Attempt]) -> None:
        if self._answered:
            self._reported.update(self._answered)
            self._answered = []
        bundles: dict[bulk_commit.BundleKey, Bundle] = {}
        full: list[Bundle] = []
        singles: list[tuple[Attempt, ScriptCall]] = []
        for attempt in attempts:
            if (alike := self._find_bundle(attempt)) is not None:
                key, ended = alike
                bundle = bundles.setdefault(key, [])
                bundle.append((attempt, ended))
                # A script that ended more at once would keep the server from everybody else for milliseconds.
                if len(bundle) == bulk_commit.MAX_RUNS_PER_CALL:
                    full.append(bundles.pop(key))
            elif (call := self._try_build_call(attempt)) is not None:
                singles.append((attempt, call))
        parts = [*full, *bundles.values()]
        calls = [bulk_commit.commit_successes(database.keys, [ended for _, ended in part]) for part in parts]
        # Log lines of handlers go before the outcomes, as an attempt that has ended is not written to; and on their
        # own, since a pipeline does not keep its order where the server does not know a script yet.
        if notes := [call for attempt, _ in singles for call in final_log_calls(attempt)]:
            database.call_all(notes)
        replies = database.call_all(calls + [call for _, call in singles])
        for part, reply in zip(parts, replies, strict=False):
            self._handle_bundle_reply(part, reply)
        for (attempt, _), reply in zip(singles, replies[len(parts) :], strict=True):
            self._handle_reply(attempt, reply)
        # Permits are released after the commit: the script frees one only when its entry is gone. A worker that dies in
        # between leaves them to the sweep.
        if limited := [each for each in attempts if each.limit_uses]:
            release_permits(database, limited)

    def _find_bundle(self, attempt: Attempt) -> tuple[bulk_commit.BundleKey, EndedAttempt] | None:
        """Return the key of the bundle that an attempt may go with, and its end; None when it goes by itself."""
        outcome = attempt.outcome
        # A failure is never bundled: it may touch the delayed set, dead letters and other tasks, and what a call for
        # one run may write must not hold up a hundred others.
        if self._one_by_one or outcome is None or outcome.state is not AttemptState.SUCCEEDED:
            return None
        if attempt.tools is not None and attempt.tools.has_effects:
            return None
        ended = attempt.ended_attempt or settle_attempt(attempt)
        key = bulk_commit.bundle_key(ended)
        return None if key is None else (key, ended)

    def _try_build_call(self, attempt: Attempt) -> ScriptCall | None:
        try:
            return self._effects.build_call(attempt, attempt.ended_attempt or settle_attempt(attempt))
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One outcome that cannot be recorded holds up no other.
            self._postpone(attempt, error)
            return None

    def _handle_bundle_reply(self, bundle: Bundle, reply: Reply | JobistemerError) -> None:
        if isinstance(reply, JobistemerError):
            # Which of them is the cause is found one by one: those that this send has recorded already are known by
            # their times, and are not counted twice.
            for attempt, _ in bundle:
                self._postpone(attempt, reply)
            return
        new = bundle
        if reply.values or self._reported:
            stale = set(reply.values)
            for position in stale:
                self._count_stale(bundle[position - 1][0])
            new = [each for at, each in enumerate(bundle, 1) if at not in stale and each[0] not in self._reported]
        self.counts[AttemptState.SUCCEEDED] += len(new)
        self._answered.extend(map(_ATTEMPT_OF, new))
        if self._effects.has_observers:
            self._effects.report_successes(new)

    def _count_stale(self, attempt: Attempt) -> None:
        if attempt in self._reported:
            # Its record has expired since.
            return
        # Another worker took the entry over, or the run was canceled: its outcome is on record, this one is not.
        self.counts["stale"] += 1
        log_stale(attempt.delivery)

    def _handle_reply(self, attempt: Attempt, reply: Reply | JobistemerError) -> None:
        ended = attempt.ended_attempt or settle_attempt(attempt)
        if isinstance(reply, JobistemerError):
            # Refused whole (loading after a restart, read only after a failover): the entry is still ours, so again.
            self._postpone(attempt, reply)
        elif reply.word == "STALE":
            self._count_stale(attempt)
        elif reply.word == "CANCELED":
            # Between the attempt's start and its end the run was asked to be canceled: no retry then.
            attempt.ended_attempt = ended._replace(ending=CANCELED)
            self._recommit(attempt)
        elif reply.word == "REFUSED":
            # Nothing was written. The work was done, but not its transaction; another attempt would find the same.
            error = f"the work was done, but its transaction was refused: {reply.values[0].decode()}"
            attempt.outcome, attempt.ended_attempt = Outcome(AttemptState.FAILED, error=error, poison=True), None
            self._recommit(attempt)
        else:
            if attempt not in self._reported:
                self.counts[ended.outcome.state] += 1
                self._answered.append(attempt)
                self._effects.report(ended, attempt)
            self._effects.follow(attempt.database, ended, reply)

    def _recommit(self, attempt: Attempt) -> None:
        # By itself and at once: the batch that it was in is kept until it is answered, so an error here sends all of
        # that batch again, and those that were recorded are known by their times.
        if (call := self._try_build_call(attempt)) is not None:
            self._handle_reply(attempt, attempt.database.call_all([call])[0])

    def _postpone(self, attempt: Attempt, error: Exception) -> None:
        self._postponed[attempt] = None
        log_postponed(attempt.delivery, error)


def settle_attempt(attempt: Attempt) -> EndedAttempt:
    """Decide what becomes of the run of an attempt that has ended, and note it with the attempt; return it.

    Made once: a second send is known by its times, and the clock may be corrected between the two; and a delay that is
    drawn by lot must not be drawn again. Raises NotConnected or ServerRefused where a retry policy ends after a time.
    """
    outcome = attempt.outcome or Outcome(AttemptState.FAILED, error="ended without an outcome")
    database, delivery = attempt.database, attempt.delivery
    at_ms = database.clock.at_ms
    started_at, ended_at = at_ms(attempt.started), at_ms(attempt.ended)
    ending: Settlement = SUCCEEDED
    if outcome.state is not AttemptState.SUCCEEDED or delivery.message.undoing is not None:
        elapsed_ms = read_elapsed_ms(database, delivery, outcome, started_at, ended_at)
        ending = settle(delivery.message, delivery.attempt, delivery.crashes, outcome, random.random(), elapsed_ms)
    ended = attempt.ended_attempt = EndedAttempt(
        delivery,
        outcome,
        ending,
        attempt.worker,
        started_at,
        ended_at,
        "fetched" if outcome.unbegun else "attempt",
        reducers=attempt.reducers,
        groups_made=attempt.groups_made,
    )
    return ended
