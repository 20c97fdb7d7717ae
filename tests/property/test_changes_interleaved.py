"""Whatever tickers and people do in whatever order: an audit finds neither hole nor double."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from jobistemer.control.backfills import Backfills
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron
from jobistemer.core.settings import TickerSettings
from jobistemer.core.states import TERMINAL_OCCURRENCES
from jobistemer.store.calls.job_versions import find_versions
from tests.support.audit import audit_all
from tests.support.clocks import FrozenClock
from tests.support.parts import examples
from tests.support.step_system import StepWorker, build_ticker, open_app, read_occurrences

SCHEDULES = ("* * * * *", "*/7 * * * * *", "30 * * * * *", "0 9 * * *")
UPDATES = ("graceful", "immediate", "windowed")
RECOVERIES = ("execute_all", "execute_last", "mark_as_missed", "bounded_window", "compressed")


def report(schedule, update, recovery, overlap):
    window = {"update_window": Cron("*/3 * * * *"), "update_window_s": 30} if update == "windowed" else {}
    policies = {
        "update": update,
        "recovery": recovery,
        "overlap": overlap,
        "grace_s": 10,
        "catch_up_per_s": 5,
        **window,
    }
    return Job(name="report", schedule=Cron(schedule), tasks=(Task("report", "report"),), **policies)


DEFINITIONS = st.builds(
    report,
    st.sampled_from(SCHEDULES),
    st.sampled_from(UPDATES),
    st.sampled_from(RECOVERIES),
    st.sampled_from(["skip", "queue", "allow"]),
)
STEPS = st.one_of(
    st.tuples(st.just("register"), DEFINITIONS),
    st.tuples(st.just("rollback"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 1, 7, 61, 200])),
    st.tuples(st.sampled_from(["look", "act"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["work", "trigger", "pause", "resume", "backfill"]), st.none()),
)


class Story:
    """One job, two tickers that need not look before they act, one worker."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.app = open_app(f"fake://{uuid4()}", self.clock)
        self.app.task(lambda: None, name="report")
        self.app.control.register(report("* * * * *", "graceful", "execute_last", "skip"))
        self.database = self.app.namespace.shards[0]
        self.tickers = [build_ticker(self.database, TickerSettings(catch_up=3), name) for name in ("one", "other")]
        self.worker = StepWorker(self.database, self.app)

    def take(self, step, given_):
        control = self.app.control
        match step:
            case "register":
                control.register(given_)
            case "rollback":
                kept = control.versions("report")
                control.rollback("report", kept[min(given_, len(kept) - 1)].number)
            case "wait":
                self.clock.advance(given_)
            case "look":
                self.tickers[given_].poll(full=True)
                self.tickers[given_]._chores.refresh()
            case "act":
                self.tickers[given_].process_due()
            case "work":
                self.worker.work()
            case "backfill":
                past = Backfills(self.app.namespace, "ana")
                now = control.find("report").cursor
                first, last = (datetime.fromtimestamp(now - back, UTC) for back in (90, 1))
                past.start(past.ask("report", first, last, again=("missed", "skipped")))
            case _:
                getattr(control, step)("report")

    def come_to_rest(self):
        """Time goes on until nothing is left to do."""
        self.app.control.resume("report")
        for _ in range(400):
            done = [each.tick() for each in self.tickers]
            worked = self.worker.work()
            database = self.database
            if not any(done) and not worked and not database.client.exists(database.keys.chores):
                return
            self.clock.advance(1)
        raise AssertionError(
            f"it does not come to rest: {self.database.client.zrange(self.database.keys.chores, 0, -1)}"
        )


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_no_order_of_changes_and_ticks_leaves_a_hole_or_a_double(steps):
    story = Story()
    for step, given_ in steps:
        story.take(step, given_)
    story.come_to_rest()
    (found,) = audit_all(story.app.namespace)
    rows = read_occurrences(story.database, story.app.control.find("report").job)
    assert [each for each in rows if each.state not in TERMINAL_OCCURRENCES] == []
    versions = find_versions(story.database, story.app.control.find("report").job.id)
    assert [each.until for each in versions[:-1]] == [each.after for each in versions[1:]]
    assert found.expected <= len(rows)
