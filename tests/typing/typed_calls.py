"""What type checkers must accept, and what they must refuse, in calls of tasks.

A line that must be refused ends in `# refused`; `test_typing.py` runs mypy and pyright over this file and requires an
error on each of these lines and on no other.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_type

from fastapi import FastAPI
from starlette.applications import Starlette

from jobistemer import Backfills, Context, Depends, Jobistemer, RunHandle, audit_jobs
from jobistemer.contrib.asgi import jobistemer_lifespan, mount_dashboard
from jobistemer.testing import Jobs

app = Jobistemer("fake://typing")


@dataclass
class Address:
    street: str


@app.task
def send(to: str, copies: int = 1) -> bool:
    return bool(to) and copies > 0


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(queue="mail", priority=9)
def configured(number: int) -> list[int]:
    return [number]


@app.task
def nothing() -> None: ...


@app.task
def with_context(ctx: Context, address: Address, at: datetime | None = None) -> Address:
    return address


@app.task
async def with_context_async(ctx: Context, number: int) -> int:
    return number


@app.task(timeout_s=5)
def with_context_configured(ctx: Context, number: int) -> int:
    return number


def get_address() -> Address:
    return Address("Elm")


@app.task
def with_dependency(number: int, address: Address = Depends(get_address)) -> int:
    return number


@app.on_worker_start
async def connect() -> None:
    app.state.pool = 7


@app.on_worker_stop
def disconnect() -> None: ...


api = FastAPI(lifespan=jobistemer_lifespan(app, ticker=True, worker=8))
web = Starlette(lifespan=jobistemer_lifespan(app))
mount_dashboard(api, "/jobs", app, authorize=lambda request: request.headers.get("x-user"))
mount_dashboard(web, "/jobs", app, authorize=lambda request: "ana")


def accepted() -> None:
    assert_type(with_dependency.enqueue(7), RunHandle[int])
    assert_type(with_dependency.enqueue(number=7).result(), int)
    assert_type(send.enqueue("a@b"), RunHandle[bool])
    assert_type(send.enqueue(to="a@b", copies=2).result(), bool)
    assert_type(fetch.enqueue("https://example.org").result(timeout=5), bytes)
    assert_type(configured.enqueue(7).result(), list[int])
    assert_type(configured.options(delay=5).enqueue(number=7).result(), list[int])
    assert_type(nothing.enqueue(), RunHandle[None])
    assert_type(with_context.enqueue(Address("Elm")).result(), Address)
    assert_type(with_context.enqueue(address=Address("Elm"), at=datetime.now()).result(), Address)
    assert_type(with_context_async.enqueue(7).result(), int)
    assert_type(with_context_configured.options(queue="x").enqueue(number=7).result(), int)


async def accepted_awaited() -> None:
    assert_type(await send.enqueue_async("a@b"), RunHandle[bool])
    handle = await fetch.enqueue_async(url="https://example.org")
    assert_type(await handle.result_async(), bytes)
    assert_type(await (await with_context.enqueue_async(Address("Elm"))).result_async(), Address)


def refused(ctx: Context) -> None:
    send.enqueue()  # refused
    send.enqueue(7)  # refused
    send.enqueue("a@b", copies="two")  # refused
    send.enqueue("a@b", 1, 2)  # refused
    send.enqueue(whom="a@b")  # refused
    send.request(7)  # refused
    nothing.enqueue(1)  # refused
    configured.enqueue("7")  # refused
    configured.options(delay=5).enqueue()  # refused
    with_context.enqueue()  # refused
    with_context.enqueue(ctx, Address("Elm"))  # refused
    with_context.enqueue("Elm")  # refused
    with_context_async.enqueue(number="7")  # refused
    text: str = send.enqueue("a@b").result()  # refused
    print(text)


async def refused_awaited() -> None:
    await send.enqueue_async(7)  # refused
    await with_context_async.enqueue_async("7")  # refused


reports = app.job("0 2 * * *", name="reports")


@app.job("*/5 * * * *")
def cleaned(days: int = 7) -> int:
    return days


@app.job("*/5 * * * *", overlap="queue")
async def polled(url: str = "") -> bytes:
    return url.encode()


@app.job("@daily")
def told(ctx: Context, days: int = 7) -> list[str]:
    return [ctx.run] * days


@reports.task
def extract() -> list[int]:
    return [1]


@reports.task(after=[extract], queue="low")
async def load(table: str = "facts") -> int:
    return len(table)


@reports.task
def published(ctx: Context, to: str = "all") -> bool:
    return bool(ctx.run) and bool(to)


@app.task
def asks_behind(to: str, ctx: Context | None = None) -> bool:
    return ctx is not None and bool(to)


def tidy(days: int = 7) -> int:
    return days


async def ping(ctx: Context, host: str = "localhost") -> float:
    return float(len(ctx.run + host))


every_minute = app.every().minute.do(tidy, name="tidy")
every_monday = app.every().monday.at("09:00").do(ping, overlap="queue", name="ping")
once = app.at("2030-01-01T00:00:00Z").do(tidy, name="tidy once")


def accepted_of_jobs() -> None:
    assert_type(cleaned.enqueue(days=3).result(), int)
    assert_type(polled.enqueue("https://example.org").result(), bytes)
    assert_type(told.enqueue(3), RunHandle[list[str]])
    assert_type(extract.enqueue().result(), list[int])
    assert_type(load.options(priority=9).enqueue("facts").result(), int)
    assert_type(published.enqueue(to="all").result(), bool)
    assert_type(asks_behind.enqueue("a@b").result(), bool)
    assert_type(every_minute.enqueue(3).result(), int)
    assert_type(every_monday.enqueue(host="db").result(), float)
    assert_type(once.enqueue(days=3).result(), int)


def refused_of_jobs(ctx: Context) -> None:
    cleaned.enqueue(days="3")  # refused
    polled.enqueue(7)  # refused
    told.enqueue(ctx, 3)  # refused
    extract.enqueue(1)  # refused
    load.enqueue(tables="facts")  # refused
    published.enqueue(ctx)  # refused
    asks_behind.enqueue()  # refused
    every_minute.enqueue("3")  # refused
    every_monday.enqueue(port=7)  # refused
    once.enqueue("3")  # refused
    app.every("5")  # refused


def performed(jobs: Jobs) -> None:
    assert_type(jobs.perform(send, "a@b", copies=2), bool)
    assert_type(jobs.perform(with_context_async, 7), int)
    jobs.perform("send", anything="goes, as it is known by name only")
    jobs.perform(send)  # refused
    jobs.perform(send, "a@b", copies="two")  # refused


async def performed_async(jobs: Jobs) -> None:
    assert_type(await jobs.perform_async(fetch, "https://example.org"), bytes)
    await jobs.perform_async(fetch, 7)  # refused


def operated() -> None:
    assert_type(Backfills(app.namespace).cancel("bf_1"), bool)
    assert_type(audit_jobs(app.namespace, "nightly")[0].job, str)
    audit_jobs(app.namespace, 7)  # refused
    Backfills("nightly")  # refused
