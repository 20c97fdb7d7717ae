"""Schedules: cron expressions with a time zone, intervals, words, calendars, and what is done about missed instants.

jobistemer dev workers.cron:app
jobistemer next '0 9 * * MON-FRI' --tz Europe/Berlin
jobistemer simulate workers.cron:app
"""

from __future__ import annotations

from jobistemer import Context, CronExclusion, Jobistemer

app = Jobistemer()
printed: list[str] = []


def say(context: Context, text: str) -> str:
    """Print a line with the instant that was due; the clock of the worker does not matter."""
    line = f"{context.due_at:%H:%M:%S} {text}"
    print(line, flush=True)
    printed.append(line)
    return line


@app.job("*/2 * * * * *", name="pulse", overlap="skip")
def pulse(context: Context) -> str:
    """Every two seconds; an instant is skipped, on record, while the one before still runs."""
    return say(context, "pulse")


@app.job("PT5S", name="interval", recovery="execute_last")
def interval(context: Context) -> str:
    """Every five seconds from the registration; after an outage only the last missed instant is executed."""
    return say(context, "interval")


workdays = CronExclusion("weekend", "* * * * 0,6", timezone="Europe/Berlin")


@app.job("0 9 * * *", name="report", timezone="Europe/Berlin", calendars=[workdays], recovery="execute_all")
def report(context: Context) -> str:
    """Nine in the morning by the clock on the wall, on workdays, also on the days on which the clock changes."""
    return say(context, "report")


@app.every().monday.at("08:30", timezone="America/New_York").do
def weekly(context: Context) -> str:
    """In words: every Monday at half past eight."""
    return say(context, "weekly")
