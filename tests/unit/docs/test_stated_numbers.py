"""A number that a page says is the constant of the code; `#` stands for it in the phrase around it."""

from __future__ import annotations

import re
import runpy

import msgspec

from jobistemer.bench import runner
from jobistemer.cli.commands import deploy, doctor
from jobistemer.contrib import http, outbox_calls, shell_guard, shell_process
from jobistemer.control import stats
from jobistemer.core import sizes
from jobistemer.core.handlers import attempt_log, durable
from jobistemer.core.handlers.waits import reminders
from jobistemer.core.jobs import job, options, versions
from jobistemer.core.planning import audit, diff, simulation
from jobistemer.core.reads import findings
from jobistemer.core.runs import steps, transaction
from jobistemer.core.schedules import cron_parser, delays
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime import http_endpoint, liveness, offload, supervisor
from jobistemer.store import quarantine
from jobistemer.store.actions import backfill, update_jobs
from jobistemer.store.calls import bulk_claim, bulk_commit
from jobistemer.store.reads import doctor as reads_doctor
from jobistemer.store.reads import ended_runs, metrics, stream_stats
from jobistemer.store.server import cluster_client, connection, deadline, pool
from jobistemer.ticker import sweep, unaccounted, upcoming
from jobistemer.web.charts import graph
from jobistemer.web.pages import jobs
from jobistemer.web.security import authentication, signing, throttle
from jobistemer.web.shared import actions, job_watch
from jobistemer.web.shared import deadline as web_deadline
from jobistemer.worker.attempts import in_flight
from jobistemer.worker.commit import hook_notifier
from jobistemer.worker.execute import fan_out, finish_steps
from jobistemer.worker.lease import beat, reclaim
from jobistemer.worker.process import handler_process
from jobistemer.worker.slots import process_hooks
from tests.support.for_each import for_each
from tests.support.paths import DOCS

WORDS = {
    1: "a", 2: "two", 3: "three", 5: "five", 8: "eight", 10: "ten", 12: "twelve", 20: "twenty", 50: "fifty", 100: "a hundred", 1000: "a thousand",
}  # fmt: skip
DAY_S, KIB, MIB = 86_400, 1024, 1024 * 1024
WORKER, TICKER = WorkerSettings(), TickerSettings()
JOB = {each.name: each.default for each in msgspec.structs.fields(job.Job)}

# Page, phrase, number.
STATED = [
    ("guarantees.md", "(# s by default): a suspended machine", WORKER.lease_s),
    ("guarantees.md", "one beat (# s, or a third of a shorter lease)", WORKER.beat_s),
    ("guarantees.md", "for up to # seconds, and recognizes the second send", deadline.LONGEST_CALL_S),
    ("guarantees.md", "for # beats, first waits", reclaim.OUTAGE_BEATS),
    ("guarantees.md", "first waits # s", reclaim.RECONNECT_S),
    ("guarantees.md", "is tried again for # s and then raises `NotConnected`", deadline.LONGEST_CALL_S),
    ("guarantees.md", "jumps forward by up to # minutes", TICKER.max_jump_s / 60),
    ("guarantees.md", "A job keeps the last # fingerprints", versions.KEPT_VERSIONS),
    ("guarantees.md", "A client waits # seconds for an answer", connection._OPTIONS["socket_timeout"]),
    ("operations.md", "finish within its grace period (# s)", WORKER.grace_s),
    ("operations.md", "fire its next instants, # ms late", upcoming.PATIENCE_MS),
    ("operations.md", "after 1, 2, 4 … # s", supervisor.LONGEST_PAUSE_S),
    ("operations.md", "when it had run for # s or longer", supervisor.HEALTHY_AFTER_S),
    ("operations.md", "kills the remaining processes # s after", supervisor.KILL_AFTER_S),
    ("operations.md", "# % of the limit (or of the machine)", findings.FULL * 100),
    ("operations.md", "are in use | # % |", findings.NEARLY_FULL * 100),
    ("operations.md", "has been due for more than # minute", reads_doctor.STUCK_AFTER_MS / 60_000),
    ("operations.md", "searches # keys of each shard", doctor.DEFAULT_KEYS),
    ("architecture.md", "claims # of them in one call", bulk_claim.MAX_CLAIMS_PER_CALL),
    ("architecture.md", "fetches about # ms of work", in_flight.PREFETCH_S * 1000),
    ("cost-per-run.md", "goes with up to # others (`commit_occurrences`)", bulk_commit.MAX_RUNS_PER_CALL),
    ("reference/audit.md", "leaves out # minute at that edge", audit.SLACK_S / 60),
    ("reference/schedules.md", "at most # characters", cron_parser.MAX_LENGTH),
    ("reference/schedules.md", "whole seconds, up to # days", delays.LONGEST_DELAY / DAY_S),
    ("how-to/backfill.md", "kept for # week after its end", backfill.KEEP_MS / 1000 / DAY_S / 7),
    ("how-to/bench.md", "at most about # runs", runner.MAX_RUNS),
    ("how-to/change-a-job.md", "except the last #.", versions.KEPT_VERSIONS),
    ("how-to/clocks.md", "`--max-jump` seconds (# by default)", TICKER.max_jump_s),
    ("how-to/clocks.md", "has lasted for # minute", TICKER.jump_hold_s / 60),
    ("how-to/clocks.md", "mark for at least # second", unaccounted.PATIENCE_S),
    ("how-to/cluster.md", "sends it again for # seconds", cluster_client.PATIENCE_S),
    ("how-to/cluster.md", "a blocking read, every # seconds", connection.BLOCK_MS / 1000),
    ("how-to/connections.md", "uses # connections at most", pool.MAX_CONNECTIONS),
    ("how-to/connections.md", "tried again for # seconds", deadline.LONGEST_CALL_S),
    ("how-to/connections.md", "run in # threads", offload.THREADS),
    ("how-to/context.md", "later (# s; `jobistemer-worker --cancel-patience`)", WORKER.cancel_patience_s),
    ("how-to/context.md", "at most # and", attempt_log.MAX_LINES),
    ("how-to/context.md", "at most # KiB (`--max-log-bytes`)", WORKER.max_log_bytes / KIB),
    ("how-to/control.md", "`history_s` (# days)", job.DEFAULT_HISTORY_S / DAY_S),
    ("how-to/dashboard.md", "each with its last # outcomes", jobs.OUTCOMES_PER_JOB),
    ("how-to/dashboard.md", "the latest # of each state and shard", ended_runs.MAX_KEPT),
    ("how-to/dashboard.md", "with one click, # at a time", actions.MAX_TARGETS),
    ("how-to/dashboard.md", "up to # are read again with each look", job_watch.JOBS_PER_LOOK),
    ("how-to/dashboard.md", "drawn with up to # places", graph.MAX_PLACES),
    ("how-to/dashboard.md", "for # days at most", signing.LINK_LIFETIME_S / DAY_S),
    ("how-to/dashboard.md", "once in # hours", authentication.AUTH_LIFETIME_S / 3600),
    ("how-to/dashboard.md", "After # wrong tokens an address", throttle.FREE_FAILURES),
    ("how-to/dashboard.md", "After # within a", throttle.ALL_FAILURES),
    ("how-to/dashboard.md", "a server that hangs for # seconds", web_deadline.DEADLINE_S),
    ("how-to/deploy.md", "the first # of each kind", deploy.MOST_SHOWN),
    ("how-to/deploy.md", "fire times appear within # days", diff.DAYS),
    ("how-to/deploy.md", "at most # of a schedule", diff.MAX_INSTANTS),
    ("how-to/deploy.md", "and # of all jobs", diff.PLAN_INSTANTS),
    ("how-to/deploy.md", "registered # in a round trip", update_jobs.BATCH),
    ("how-to/durable.md", "saved at most once # second", durable.CURSOR_MS / 1000),
    ("how-to/durable.md", "A run may have # steps", steps.MAX_STEPS),
    ("how-to/durable.md", "with # MiB of records", steps.MAX_STEPS_BYTES / MIB),
    ("how-to/durable.md", "may be sent # signals", steps.MAX_SIGNALS),
    ("how-to/durable.md", "of # KiB together", steps.MAX_SIGNALS_BYTES / KIB),
    ("how-to/durable.md", "a retry, up to # times", finish_steps.MAX_SNOOZES),
    ("how-to/durable.md", "at most # times", reminders.MAX_REMINDERS),
    ("how-to/executors.md", "After # seconds", WORKER.loop_block_s),
    ("how-to/executors.md", "With # of", WORKER.max_leaked),
    ("how-to/executors.md", "# of these runs at a time (`--max-suspects`)", WORKER.max_suspects),
    ("how-to/executors.md", "after # crashes", options.DEFAULT_MAX_CRASHES),
    ("how-to/limits.md", "starts within about # ms", in_flight.PREFETCH_S * 1000),
    ("how-to/limits.md", "sweep, every # s", sweep.SWEEP_EVERY_S),
    ("how-to/map-and-reduce.md", "`map` up to # times", fan_out.MAX_MAPS),
    ("how-to/middleware.md", "the ends beyond # that wait", hook_notifier.MAX_WAITING),
    ("how-to/observe.md", "taken more than # s", liveness.STEP_S),
    ("how-to/observe.md", "older than two beats and # s", beat.READY_MARGIN_S),
    ("how-to/observe.md", "At most # requests", http_endpoint.MAX_AT_ONCE),
    ("how-to/observe.md", "# days are kept", metrics.COUNTED_DAYS),
    ("how-to/observe.md", "only the first # runs", stats.MAX_READ),
    ("how-to/observe.md", "at a scrape, at most every # s", metrics.CACHE_S),
    ("how-to/observe.md", "reads the first # streams", stream_stats.MAX_STREAMS),
    ("how-to/outbox.md", "locks # rows at a time", outbox_calls.BATCH),
    ("how-to/outbox.md", "up to # times", outbox_calls.MAX_BATCHES),
    ("how-to/payloads.md", "of # types and values", len(runpy.run_path(str(DOCS / "draw_payload_types.py"))["ROWS"])),
    ("how-to/payloads.md", "may have # KiB each", sizes.DEFAULT_BYTES / KIB),
    ("how-to/quarantine.md", "is deleted after # days", quarantine.KEEP_MS / 1000 / DAY_S),
    ("how-to/recovery.md", "in a second (# by default)", JOB["catch_up_per_s"]),
    ("how-to/recovery.md", "`grace_s` (# s by default)", JOB["grace_s"]),
    ("how-to/resources.md", "may take # seconds together", process_hooks.STOP_S),
    ("how-to/resources.md", "in a handler process #.", handler_process.END_S),
    ("how-to/shell-and-http.md", "its last # KiB are the result", shell_process.MAX_OUTPUT / KIB),
    ("how-to/shell-and-http.md", "SIGKILL # seconds later", shell_guard.GRACE_S),
    ("how-to/shell-and-http.md", "each redirect (at most #)", http.MAX_REDIRECTS),
    ("how-to/shell-and-http.md", "keeps # KiB of a body", http.MAX_BODY / KIB),
    ("how-to/shell-and-http.md", "and # KiB of the headers", http.MAX_HEADERS / KIB),
    ("how-to/simulate.md", "(# s by default)", simulation.DEFAULT_DURATION_S),
    ("how-to/transactions.md", "At most # steps", transaction.MAX_STEPS),
    ("how-to/transactions.md", "steps and # MiB", transaction.MAX_BYTES / MIB),
]


@for_each(STATED, lambda row: f"{row[0]}: {row[1]}")
def test_a_number_on_a_page_is_that_of_the_code(row):
    page, phrase, number = row
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    written = {f"{number:,.10g}", WORDS.get(number, "")} - {""}
    assert any(is_stated(phrase, form, text) for each in written for form in (each, each.capitalize())), written


def is_stated(phrase: str, number: str, text: str) -> bool:
    """Tell whether a text has the phrase with this number, and not with a longer one."""
    whole = rf"(?<![\w.,-]){re.escape(number)}(?!\w|[.,]\d)"
    return re.search(whole.join(map(re.escape, phrase.split("#"))), text) is not None


def test_a_number_is_not_stated_by_a_longer_one():
    assert is_stated("# days are kept", "31", "so 31 days are kept")
    assert not is_stated("# days are kept", "1", "so 31 days are kept")
    assert not is_stated("# entries", "500", "up to 1,500 entries")
    assert not is_stated("# s", "5", "after 0.5 s")
    assert not is_stated("waits #", "1", "it waits 1.5 s, then waits 10 s")
