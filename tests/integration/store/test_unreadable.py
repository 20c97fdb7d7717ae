"""Garbage of fifteen kinds in each key of a full namespace, one at a time, while everything goes on."""

import json
import logging
from datetime import UTC, datetime

import msgspec
import pytest
from click.testing import CliRunner

from jobistemer import Concurrency
from jobistemer.cli import main
from jobistemer.control.audit import audit_jobs
from jobistemer.control.backfills import Backfills
from jobistemer.control.quarantine import Quarantine
from jobistemer.core.errors import JobistemerError
from jobistemer.core.ids import job_id
from jobistemer.runtime.log_limit import forget_logged
from jobistemer.store.actions.dead_letters import list_dead
from jobistemer.store.actions.purge import purge_queue
from jobistemer.store.calls.holds import list_holds, put_hold
from jobistemer.store.calls.limits import sweep_limits
from jobistemer.store.calls.streams import pause_queue
from jobistemer.store.reads import entries, jobs, queues, queues_snapshot
from jobistemer.store.reads.doctor import diagnose
from jobistemer.store.reads.limited_runs import list_limited_runs
from jobistemer.store.reads.messages import find_sent_message
from tests.support.dashboard_client import DashboardClient
from tests.support.garbage import KINDS, NO_TEXT, REPLACED_FROM, WORDS, add_garbage, replace_by_garbage, word_of
from tests.support.lifecycle import build_ended, fetch_one, finish
from tests.support.step_system import StepWorker, build_ticker

PAGES = ("/", "/jobs", "/queues", "/runs", "/dead", "/workers", "/jobs/good")


@pytest.fixture
def app(app):
    app.done = []

    @app.task
    def note(text: str = "") -> None:
        app.done.append(text)

    @app.job("* * * * *", name="good")
    def good() -> None:
        app.done.append("good")

    @app.job("* * * * *", name="victim", overlap="queue", occurrence_timeout_s=600, expect_within_s=3600, alert="note")
    def victim() -> None: ...

    return app


@pytest.fixture(autouse=True)
def _fresh_log():
    forget_logged()


def fill(app, database, clock):
    """Put something into each kind of key; the keys by kind."""
    app.deploy()
    ticker, worker = build_ticker(database), StepWorker(database, app)
    worker.beat()
    clock.advance(60)
    ticker.tick()
    worker.work()
    clock.advance(60)
    ticker.tick()
    app.enqueue("note", {"text": "late"}, delay=3600)
    app.enqueue("note", {"text": "waits"}, queue="slow")
    app.enqueue("note", {"text": "unique"}, unique="u", queue="slow")
    app.enqueue("note", {"text": "dies"}, queue="other", priority=3)
    finish(database, build_ended(fetch_one(database, where="other:3"), "failed", error="because"))
    put_hold([database], "held", clock.now_ms() + 3_600_000)
    pause_queue([database], "paused")
    return ticker, worker


def keys_of(database):
    """One key of each kind, and of jobs and what belongs to them those of the victim."""
    victim = job_id("victim")
    found = {}
    for key in sorted(database.client.keys(f"{database.keys.tag}:*")):
        text = key.decode()
        kind, _, name = text.removeprefix(f"{database.keys.tag}:").partition(":")
        if not (name.startswith("job_") and name != victim) and not (kind == "stream" and name.startswith("default")):
            found.setdefault(kind, text)
    return found


def spoil(client, key, number):
    """Make one of the fifteen kinds of garbage of a key."""
    kind = client.type(key).decode()
    if number >= REPLACED_FROM:
        replace_by_garbage(client, key, number)
    elif kind == "hash":
        for field in client.hkeys(key):
            client.hset(key, field, word_of(number))
    elif kind == "string":
        client.set(key, word_of(number))
    else:
        add_garbage(client, key, number)


def run_command(monkeypatch, server_url, *words):
    monkeypatch.setenv("JOBISTEMER_URL", server_url)
    monkeypatch.setenv("JOBISTEMER_NAMESPACE", "test")
    return CliRunner().invoke(main, list(words), env={"COLUMNS": "300"})


def look(app, database, reader):
    """Everything that people look at comes to its end."""
    shards = [database]
    for read in (jobs.list_jobs, jobs.list_delayed, queues.list_queues, queues.list_workers, queues.list_tickers,
                 entries.list_entries, list_dead, list_holds, queues_snapshot.read_totals):  # fmt: skip
        read(shards)
    queues_snapshot.snapshot_queues(shards, 10)
    diagnose(app.namespace, 1000)
    audit_jobs(app.namespace)
    Quarantine(app.namespace).list()
    app.control.list()
    for page in PAGES:
        # Without the set of due jobs none is found.
        assert reader.client.get(page).status_code in ((200, 404) if page == "/jobs/good" else (200,)), page


@pytest.mark.thinned(5)
@pytest.mark.parametrize("number", range(KINDS))
def test_garbage_in_any_key_concerns_only_itself(app, database, clock, number, caplog):
    # Given a namespace in which everything is there
    ticker, worker = fill(app, database, clock)
    reader = DashboardClient(app.namespace)
    kinds = keys_of(database)
    for kind in kinds:
        forget_logged()
        caplog.clear()
        if not (key := keys_of(database).get(kind)):
            continue

        # When one of its keys gets garbage
        spoil(database.client, key, number)
        look(app, database, reader)
        app.done.clear()
        clock.advance(60)
        run = app.enqueue("note", {"text": kind})
        ticker.tick()
        worker.beat()
        worker.work()
        ticker.tick()

        # Then good work is done in the same step, and everything can be looked at
        assert kind in app.done, (kind, number, caplog.text)
        assert kind in ("due", "job") or "good" in app.done, (kind, number, caplog.text)
        assert run.state() == "succeeded"
        look(app, database, reader)
        said = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert len(said) <= 10, (kind, number, caplog.text)

        # And the next keys find a full namespace again
        app.deploy()


def test_the_command_line_works_over_a_job_that_cannot_be_read(app, database, clock, server_url, monkeypatch):
    app.deploy()
    monkeypatch.setenv("JOBISTEMER_URL", server_url)
    monkeypatch.setenv("JOBISTEMER_NAMESPACE", "test")
    key = database.keys.job(jobs.find_summary(database, "victim").id)
    definition = json.loads(database.client.hget(key, "definition"))
    database.client.hset(key, "definition", json.dumps({**definition, "overlap": "wait"}))

    # Lists name it with the reason, and everything else of them is there
    (bad,) = [each for each in jobs.list_jobs([database]) if each.unreadable]
    assert (bad.name, "wait" in bad.unreadable) == ("victim", True)
    listed = CliRunner().invoke(main, ["job", "list"], env={"COLUMNS": "300"})
    assert (listed.exit_code, "unreadable" in listed.output, "good" in listed.output) == (0, True, True)
    assert [each.findings[0].fault for each in audit_jobs(app.namespace) if each.findings] == ["unreadable"]
    assert [each.level for each in diagnose(app.namespace, 100) if "victim" in each.value] == ["fault"]
    with pytest.raises(JobistemerError, match="job 'victim' cannot be read: .*remove"):
        app.control.find("victim")

    # A corrected deploy replaces it, and goes on counting its versions
    applied = {each.job: (each.word, each.version) for each in app.deploy()}
    assert applied == {"good": ("UNCHANGED", 1), "victim": ("CREATED", 2)}
    assert app.control.find("victim").version == 2


@pytest.mark.parametrize("spoiled", ["definition", "type"])
def test_a_job_that_cannot_be_read_is_removed_like_any_other(app, database, spoiled):
    app.deploy()
    job = jobs.find_summary(database, "victim").id
    if spoiled == "type":
        database.client.delete(database.keys.job(job))
        database.client.set(database.keys.job(job), "x")
    else:
        database.client.hset(database.keys.job(job), "definition", "{")
    app.control.remove("victim")
    assert [each.name for each in jobs.list_jobs([database])] == ["good"]
    assert not database.client.exists(database.keys.job(job))
    assert [each.key for each in Quarantine(app.namespace).list()] == [database.keys.job(job)]


def test_a_version_that_cannot_be_read_is_listed_with_the_reason(app, database, monkeypatch, server_url):
    app.deploy()
    stored = app.control.find("good")
    app.control.register(msgspec.structs.replace(stored.job, max_queued=7))
    database.client.hset(database.keys.versions(stored.job.id), "1", "{")
    assert [each.number for each in app.control.versions("good")] == [2]
    (odd,) = app.control.unreadable_versions("good")
    assert (odd.number, "truncated" in odd.reason) == (1, True)
    shown = run_command(monkeypatch, server_url, "job", "versions", "good")
    assert (shown.exit_code, "unreadable: " in shown.output) == (0, True)

    # The current one as well
    database.client.hset(database.keys.job(stored.job.id), "definition", "{")
    shown = run_command(monkeypatch, server_url, "job", "versions", "good", "--json")
    assert [each["number"] for each in json.loads(shown.output)["unreadable"]] == [1, 2]


def test_a_backfill_that_cannot_be_read_is_listed_with_the_reason(app, database, clock, monkeypatch, server_url):
    app.deploy()
    clock.advance(600)
    control = Backfills(app.namespace)
    first, last = (datetime.fromtimestamp(clock.now_ms() / 1000 - ago, UTC) for ago in (500, 100))
    good, bad = (control.start(control.ask(name, first, last)) for name in ("good", "victim"))
    database.client.hset(database.keys.backfill(bad), "definition", "{")
    assert [each.backfill.id for each in control.running()] == [good]
    assert [each.id for each in control.unreadable()] == [bad]
    listed = run_command(monkeypatch, server_url, "backfill", "list")
    assert (listed.exit_code, bad in listed.output, "cannot be read" in listed.output) == (0, True, True)
    answer = json.loads(run_command(monkeypatch, server_url, "backfill", "list", "--json").output)["backfills"]
    assert [each.get("id") for each in answer] == [None, bad]


def test_what_waits_for_a_limit_and_cannot_be_read_hides_and_holds_up_nothing(app, database):
    database.client.hset(database.keys.limits, "limited", 1)
    database.client.zadd(database.keys.waiting("limited"), {NO_TEXT: 1, b"default:x:run_1": 2})
    assert list_limited_runs([database]) == []
    assert sum("limited" in each.value for each in diagnose(app.namespace, 100)) == 2
    assert purge_queue([database], "default", "because") == 0


@pytest.mark.parametrize("where", ["stream", "delayed"])
def test_a_run_whose_message_cannot_be_read_is_shown_and_cancelled_like_any_other(app, database, where):
    run = app.enqueue("note", {"text": "x"}, delay=3600 if where == "delayed" else 0)
    if where == "delayed":
        broken = database.client.hget(database.keys.run(run.id), "message").replace(
            b'"payload"', b'"retry":{"kind":"odd"},"payload"'
        )
        database.client.hset(database.keys.run(run.id), "message", broken)
    else:
        ((entry, fields),) = database.client.xrange(database.keys.stream("default:5"))
        broken = fields[b"m"].replace(b'"payload"', b'"retry":{"kind":"odd"},"payload"')
        database.client.xdel(database.keys.stream("default:5"), entry)
        again = database.client.xadd(database.keys.stream("default:5"), {**fields, b"m": broken})
        database.client.hset(database.keys.run(run.id), "entry", again)
    assert find_sent_message(database, run.record()).handler == "note"
    assert run.cancel("because")
    assert run.state() == "canceled"


def test_a_nonsense_among_the_delayed_runs_is_put_aside_and_said_once(app, database, clock, caplog):
    app.deploy()
    database.client.zadd(database.keys.delayed, {"nonsense": 1})
    ticker = build_ticker(database)
    for _ in range(5):
        clock.advance(60)
        ticker.tick()
    assert [(each.what, each.key) for each in Quarantine(app.namespace).list()] == [("nonsense", database.keys.delayed)]
    assert [each for each in caplog.messages if "nonsense" in each] == [
        f"{database.keys.delayed} 'nonsense': ValueError: it names no queue and priority (0–10); it was put aside, see `jobistemer quarantine list`"
    ]


def test_what_was_put_aside_is_restored_and_purged_by_its_id(app, database):
    app.deploy()
    database.client.sadd(database.keys.starts, NO_TEXT, b"\xfe")
    build_ticker(database).tick()
    control = Quarantine(app.namespace)
    first, second = control.list()
    control.restore(first.id)
    assert [each.id for each in control.list()] == [second.id]
    assert control.purge([second.id]) == 1
    assert control.list() == []
    with pytest.raises(JobistemerError, match="nothing in the quarantine has the id"):
        control.restore(second.id)


def test_a_job_whose_score_is_no_time_is_fired_at_its_next_instant(app, database, clock):
    app.deploy()
    job = jobs.find_summary(database, "good").id
    database.client.zadd(database.keys.due, {job: float("-inf")})
    ticker, worker = build_ticker(database), StepWorker(database, app)
    ticker.tick()
    clock.advance(60)
    ticker.tick()
    worker.work()
    assert "good" in app.done


class TestEntries:
    """Entries of streams that cannot be read."""

    def test_an_entry_without_a_readable_message_ends_as_a_dead_letter_with_its_bytes(self, app, database):
        run = app.enqueue("note", {"text": "x"})
        ((entry, fields),) = database.client.xrange(database.keys.stream("default:5"))
        broken = fields[b"m"].replace(b'"payload"', b'"retry":{"kind":"of tomorrow"},"payload"')
        database.client.xdel(database.keys.stream("default:5"), entry)
        database.client.xadd(database.keys.stream("default:5"), {**fields, b"m": broken})
        good = app.enqueue("note", {"text": "good"})
        StepWorker(database, app).work()

        # Its run has ended, with the reason; others went on
        assert (run.state(), good.state()) == ("dead", "succeeded")
        assert "its message cannot be read" in run.record().error
        (letter,) = list_dead([database])
        assert (letter.run.id, letter.raw, letter.message.handler) == (run.id, broken, "note")

    def test_an_entry_that_names_no_run_ends_as_a_run_of_its_own(self, app, database):
        worker = StepWorker(database, app)
        database.client.xadd(database.keys.stream("default:5"), {"m": NO_TEXT, "n": "x", "c": "y"})
        worker.work()
        (letter,) = list_dead([database])
        assert letter.raw == NO_TEXT
        assert database.client.xlen(database.keys.stream("default:5")) == 0
        assert database.client.pttl(database.keys.run(letter.run.id)) > 0

    def test_each_entry_of_another_program_is_a_dead_letter_that_names_it_and_its_fields(self, app, database, caplog):
        stream = database.keys.stream("default:5")
        worker = StepWorker(database, app)
        added = [
            database.client.xadd(
                stream, {"task": f"mail {number}", b"to\xff": "ann", **{f"f{each}": "" for each in range(20)}}
            )
            for number in range(3)
        ]
        worker.work()
        letters = {letter.run.error: letter.raw for letter in list_dead([database])}
        assert sorted(letters) == [
            f"entry {entry.decode()} of {stream} has no message, but the fields "
            "task, to\\xff, f0, f1, f2, f3, f4, f5, f6, f7: another program has written it"
            for entry in added
        ]
        assert [letters[error].split(b"\n")[:2] for error in sorted(letters)] == [
            [f"task=mail {number}".encode(), b"to\xff=ann"] for number in range(3)
        ]
        # One line for all of them, which says where the others are
        (line,) = [each.getMessage() for each in caplog.records if "has no message" in each.getMessage()]
        assert "`jobistemer dead list` names each such entry" in line
        assert database.client.xlen(stream) == 0

    def test_a_message_of_a_later_version_goes_back_byte_by_byte_and_waits(self, app, database, clock):
        run = app.enqueue("note", {"text": "x"})
        ((entry, fields),) = database.client.xrange(database.keys.stream("default:5"))
        later = fields[b"m"].replace(b'"payload"', b'"wire":3,"retry":{"kind":"of tomorrow"},"payload"')
        database.client.xdel(database.keys.stream("default:5"), entry)
        database.client.xadd(database.keys.stream("default:5"), {**fields, b"m": later})
        worker, ticker = StepWorker(database, app), build_ticker(database)
        for _ in range(3):
            worker.work()
            record = run.record()
            assert (record.state, record.attempt, "wire version 3" in record.note) == ("scheduled", 0, True)
            assert database.client.hget(database.keys.run(run.id), "message") == later
            clock.advance(6)
            ticker.tick()
        ((_, fields),) = database.client.xrange(database.keys.stream("default:5"))
        assert fields[b"m"] == later

    def test_a_stream_of_the_wrong_type_stops_only_itself_where_it_may_not_be_put_aside(
        self, app, database, server_url
    ):
        if server_url.startswith("fake"):
            pytest.skip("fakeredis raises an AttributeError of its own for such a read")
        worker = StepWorker(database, app)
        worker.queue_order.places()
        database.mend = None
        key = database.keys.stream("default:2")
        database.client.delete(key)
        database.client.set(key, "x")
        app.enqueue("note", {"text": "good"})
        worker.work()
        assert app.done == ["good"]


@pytest.mark.parametrize("stored", ["1000000000", "0", "-1", "abc", "", "1025", "١"])
def test_a_number_of_shards_that_no_process_has_fixed_is_refused_by_name(app, database, stored):
    database.client.hset("{test}:settings", "shards", stored)
    # An app would fix a number where there is none; a ticker and a command would take it for an empty namespace.
    for fixes in (True, False):
        app.namespace.fixes_shards = fixes
        with pytest.raises(JobistemerError, match="shards, allowed are 1–1024: set it to"):
            app.namespace.connect()


@pytest.mark.parametrize("word", WORDS)
def test_a_permit_that_names_no_entry_is_free_after_the_sweep(database, word):
    held = database.keys.held("task/limited")
    database.client.hset(database.keys.limits, "task/limited", 1)
    database.client.hset(held, word, word)
    sweep_limits(database)
    assert not database.client.exists(held)


@pytest.mark.parametrize("score", [1, float("-inf")])
@pytest.mark.parametrize("word", WORDS)
def test_what_cannot_be_read_among_the_runs_that_wait_for_a_limit_holds_up_none(app, database, word, score):
    # Given a limit of one, a run that holds it and one that waits, and garbage in front of that one
    @app.task(limits=(Concurrency(1),))
    def limited(number: int) -> None:
        app.done.append(number)

    worker = StepWorker(database, app)
    worker.beat()
    app.enqueue("limited", {"number": 1})
    app.enqueue("limited", {"number": 2})
    worker.fetch()
    (key,) = database.client.keys(database.keys.waiting("*"))
    database.client.zadd(key, {word: score})

    # When the first one ends
    worker.work()
    worker.work()

    # Then the second one has run, and the garbage is in the quarantine
    assert app.done == [1, 2]
    assert len([each for each in Quarantine(app.namespace).list() if "waiting:" in each.key]) == 1
    assert not database.client.exists(key)
    jobs.list_limited([database])


def test_a_delayed_run_whose_state_cannot_be_read_is_listed_with_the_others(app, database):
    garbled, fine = (app.enqueue("note", {"text": "later"}, delay=60) for _ in range(2))
    database.client.hset(database.keys.run(garbled.id), "state", "purple")
    listed = {run.id: (run.state, run.place) for run in jobs.list_delayed([database])}
    assert listed == {garbled.id: ("unreadable", "default:5"), fine.id: ("scheduled", "default:5")}


def test_an_entry_with_an_odd_id_and_no_time_is_listed_and_executed_with_the_others(app, database):
    worker = StepWorker(database, app)
    database.client.xadd(
        database.keys.stream("default:5"),
        {"m": '{"run":"run_odd","handler":"note","payload":{"text":"odd"}}', "n": 0, "c": 0},
    )
    fine = app.enqueue("note", {"text": "fine"})
    assert [(run.id, run.enqueued_at > 0) for run in entries.list_entries([database])] == [
        ("run_odd", False),
        (fine.id, True),
    ]
    worker.work()
    assert app.done == ["odd", "fine"]
