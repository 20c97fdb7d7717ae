"""Read a crontab, user's or system's: each line is a job of the task `shell`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.crontab_import import CrontabFormat, guess_format, read_crontab, source_name
from jobistemer.migrate.found import Found, FoundJob, FoundTask, Verdict


def read_crontab_file(path: str, form: str | None = None, timezone: str = "UTC") -> Found:
    """Read the jobs of a crontab.

    form: see CrontabFormat; guessed from the path without one. timezone: of lines without CRON_TZ. Raises InvalidInput.
    """
    try:
        text = Path(path).read_text("utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"crontab {path!r} cannot be read: {error.strerror}") from None
    found = Found("crontab", path)
    chosen = CrontabFormat(form) if form else guess_format(str(Path(path).absolute()))
    imported = read_crontab(text, source_name(path), chosen, timezone)
    for note in imported.notes:
        found.remark(f"line {note.line}", Verdict.NO_EQUAL if note.refused else Verdict.DIFFERS, note.text)
    for job in imported.jobs:
        task = FoundTask(job.name, "jobistemer.contrib.shell:shell")
        payload = msgspec.json.decode(job.tasks[0].payload)
        options = {"retry": job.tasks[0].options.retry}
        found.jobs.append(FoundJob(job.name, job.schedule, task, payload, (), options))
    if not found.jobs and not found.remarks:
        raise InvalidInput(f"crontab {path!r} has no line with a time and a command")
    found.remark("times", Verdict.SAME, "read as Debian's cron reads them, also at a change of the clock")
    found.remark(
        "overlap",
        Verdict.DIFFERS,
        "cron starts a command again while it still runs; here the instant is recorded as skipped",
    )
    found.remark(
        "retries",
        Verdict.DIFFERS,
        "cron forgets a command that failed; here it is tried again after 1, 2 and 4 minutes",
    )
    return found
