"""Failures: retries with a policy, errors that are not retried, dead letters, and a task that hears of them.

jobistemer dev workers.retries:app
jobistemer enqueue fetch '{"url": "https://example.org", "fails": 2}' --app workers.retries:app
jobistemer enqueue fetch '{"url": "https://example.org", "fails": 99}' --app workers.retries:app
jobistemer dead list
"""

from __future__ import annotations

from jobistemer import Context, DeadLetter, Exponential, Fail, Jobistemer, Options, Retry

app = Jobistemer(defaults=Options(retry=Exponential(max_retries=3, first_s=0.2)))
told: list[str] = []


@app.task
def tell(letter: DeadLetter) -> None:
    """Called with the letter of a run that is out of attempts: mail it, page somebody, open a ticket."""
    told.append(f"{letter.handler} {letter.payload} has failed for good: {letter.error}")
    print(told[-1], flush=True)


@app.task(on_dead=tell, retry_on=(ConnectionError,))
def fetch(context: Context, url: str, fails: int = 0) -> str:
    """Fail as often as asked; only a ConnectionError is retried, and what is wrong for ever fails at once."""
    if not url.startswith("https://"):
        raise Fail(f"{url} is not fetched: no attempt can mend that")
    if context.attempt < fails:
        raise ConnectionError(f"{url} does not answer")
    return f"fetched at attempt {context.attempt}"


@app.task
def poll(context: Context) -> str:
    """Ask to be tried again, after a time of its own."""
    if context.attempt == 0:
        raise Retry("not ready yet", after=0.5)
    return "ready"
