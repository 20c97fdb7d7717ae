"""Draw docs/reference/options.md from the options of tasks, jobs and calls, so that the page cannot go stale.

python docs/draw_options.py
"""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

from jobistemer.app.job_declaration import _OPTION_NAMES, _POLICY_NAMES, _TRAIT_NAMES
from jobistemer.app.request import _CALL_ONLY, _KNOWN_OPTIONS
from jobistemer.core.jobs.job import _RANGES, _WHOLE_RANGES, Job
from jobistemer.core.jobs.options import ALIASES, DEFAULTS, Options

FOLDER = Path(__file__).parent
PAGE = FOLDER / "reference" / "options.md"
SETTINGS = runpy.run_path(str(FOLDER / "draw_settings.py"))
HEAD = """# Options of tasks, jobs and calls

Drawn from the code by `docs/draw_options.py`. An option has one name and one meaning wherever it is written, and is checked there: a value that
cannot be is refused with the name, the value and what is allowed, before anything is written.

They cascade: `Jobistemer(defaults=Options(…))`, `@app.job(…)`, `@app.task(…)` or `@job.task(…)`, the call. The last level that sets an option
wins. `app.effective_options` and `jobistemer job options` say what applies and which level says so.

## Options

*Job* is `@app.job(…)` and `app.every(…).….do(…)`, for all tasks of the job; *task* is `@app.task(…)` and `@job.task(…)`; *call* is
`task.options(…)`, `app.enqueue(…)` and `app.request(…)`.

| option | `Options` | job | task | call | default | |
| --- | --- | --- | --- | --- | --- | --- |"""
SAID = {
    "timeout": "the same as `timeout_s`, also as a timedelta; give one of the two",
    "max_retries": "the same as a number in `retry`; beside a policy it is the number of its retries",
    "retry_on": "the exceptions that are retried, and no others",
    "no_retry_on": "the exceptions that are not retried",
    "signals": "the types of the signals that its handler waits for, by name",
    "delay": "seconds or a timedelta until the run may start",
    "at": "the instant at which the run may start",
    "expires": "seconds, a timedelta or an instant: what has not started by then is canceled; an instant in the past expires at once",
    "unique": "at most one run for this key: a text or Unique(…)",
    "throttle": "at most one run in so many seconds: a number, a timedelta or Throttle(…)",
    "debounce": "one run for many calls: a number, a timedelta or Debounce(…)",
    "run_id": "the id of the run, from `new_run_id()`: a call that is sent again with it finds its own run",
    "metadata": "what the call is about: texts by name, 4,096 bytes together",
    "headers": "what travels with the call: texts by name, 4,096 bytes together",
    "mode": "how its tasks follow one another: `graph`, `sequential` or `parallel`",
    "payload": "the keyword arguments of its one function",
    "on_start": "a hook with the context of the first attempt of each occurrence",
    "description": "what the job is for, at most 2,000 characters",
    "failure": "the effect of a task that failed for good on the others: `fail_fast`, `continue`, `retry_on_failure`",
    "calendars": "calendars whose instants are skipped: a list of Holidays, Dates, Blackout and CronExclusion",
    "overlap": "for a due instant while an earlier occurrence goes on: `skip`, `queue`, `allow`, `replace`",
    "update_window": "a schedule: a windowed update is applied while the window is open that begins at one of its instants",
    "update_window_s": "how long the window of a windowed update is open",
    "recovery": "for missed instants: `execute_all`, `execute_last`, `mark_as_missed`, `bounded_window`, `compressed`",
}
OPTIONAL_RANGES = {"occurrence_timeout_s": "1–31622400", "expect_within_s": "1–31622400"}


def page() -> str:
    """The whole page."""
    meant = SETTINGS["meanings"](Options) | SAID
    names = [*Options.__struct_fields__, *sorted(ALIASES), *sorted(_TRAIT_NAMES), *sorted(_CALL_ONLY)]
    return "\n".join([HEAD, *(option_row(name, meant[name]) for name in names), "", *policies(), ""])


def option_row(name: str, meaning: str) -> str:
    """One row: where the option may be written, its default and its meaning."""
    declared = _OPTION_NAMES | _TRAIT_NAMES
    places = (Options.__struct_fields__, declared, declared, _KNOWN_OPTIONS)
    marks = ["yes" if name in place else "–" for place in places]
    default = SETTINGS["shown"](getattr(DEFAULTS, name, None)).replace("|", "\\|")
    return f"| `{name}` | {' | '.join(marks)} | {default} | {meaning} |"


def policies() -> list[str]:
    """The table of what only a job has."""
    defaults = dict(zip(Job.__struct_fields__[3:], Job.__struct_defaults__, strict=True))
    ranges = {name: f"{low:.12g}–{high:.12g}" for name, low, high in (*_RANGES, *_WHOLE_RANGES)} | OPTIONAL_RANGES
    whole = ", ".join(f"`{name}`" for name, _, _ in _WHOLE_RANGES)
    lines = [
        "## Policies of jobs",
        "",
        f"Written in `@app.job(…)` beside the options of its tasks. Whole numbers are {whole}.",
        "",
        "| policy | default | allowed | |",
        "| --- | --- | --- | --- |",
    ]
    meant = job_meanings()
    for name in sorted(_POLICY_NAMES):
        default = "graph" if name == "mode" else defaults.get(name)
        lines.append(f"| `{name}` | {SETTINGS['shown'](default)} | {ranges.get(name, '–')} | {meant[name]} |")
    return lines


def job_meanings() -> dict[str, str]:
    """What the docstring of Job says of each policy, and the table above where it says nothing."""
    # `on_complete` is a method of jobs and no policy, but its meaning ends that of the policy before it.
    names = tuple(each for each in Job.__struct_fields__ if each in {*_POLICY_NAMES, "on_complete"} - {*SAID})
    documented = SimpleNamespace(__doc__=Job.__doc__, __struct_fields__=names)
    return {**SETTINGS["meanings"](documented), **{name: SAID[name] for name in _POLICY_NAMES if name in SAID}}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
