"""An application whose tasks run in processes beside the worker and use everything that a context has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel

from jobistemer import NO_RETRIES, Context, Depends, Fail, Jobistemer, Options, Results
from jobistemer.contrib.middleware import log_attempts, timeout
from jobistemer.core.runs.report import Report
from jobistemer.worker.process.protocol import ReadResults

app = Jobistemer(defaults=Options(executor="process", retry=NO_RETRIES, timeout_s=30))
seen: ContextVar[str] = ContextVar("seen", default="nothing")


# A process beside the worker imports this for as long as the file is there.
if (held := os.environ.get("TEST_HOLD")) and "jobistemer.worker.process.child" in sys.orig_argv:
    while os.path.exists(held):
        time.sleep(0.01)

app.middleware(log_attempts)


@app.middleware
@contextlib.contextmanager
def watched(ctx):
    ctx.log(f"middleware: begins in process {os.getpid()}")
    try:
        yield
    except BaseException as error:
        ctx.log(f"middleware: saw {type(error).__name__}: {error}")
        raise
    ctx.log("middleware: ends")


@app.middleware
def limited(ctx):
    return timeout(0.5)(ctx) if ctx.handler == "limited_by_middleware" else contextlib.nullcontext()


@app.hooks.before_run
def before(ctx):
    ctx.log(f"before_run: {ctx.handler}")


@app.hooks.after_run
def after(end):
    print(f"after_run: {end.handler} {end.state}", flush=True)


@app.task
def where() -> int:
    return os.getpid()


@app.task
def tells(ctx: Context, rows: int) -> dict[str, object]:
    ctx.progress(rows, 2 * rows, "rows")
    ctx.log("a line for the record")
    ctx.logger.info("said %d rows", rows)
    logging.getLogger("shop").info("said by a logger of the app")
    logging.getLogger("shop").debug("said in vain")
    try:
        raise KeyError("lost")
    except KeyError:
        ctx.logger.exception("caught")
        logging.getLogger("shop").exception("caught again")
    return {
        "pid": os.getpid(),
        "run": ctx.run,
        "attempt": ctx.attempt,
        "shell": list(ctx.permissions.shell),
        "ending": ctx.ending,
    }


@app.task
def raises(ctx: Context) -> None:
    raise Fail("on purpose")


@app.task
def limited_by_middleware() -> None:
    time.sleep(3600)


@app.task
def sets_a_variable() -> str:
    before = seen.get()
    seen.set("somebody else's")
    return before


@app.task
async def sets_a_variable_async() -> str:
    before = seen.get()
    seen.set("somebody else's")
    return before


@app.task(executor="auto")
def follow(of: str) -> str:
    return of


@app.task
def pay(ctx: Context, amount: int, then: str = "") -> int:
    ctx.transaction.write("INCRBY", "balance", amount)
    ctx.transaction.write("HSET", "last", "text", "ü", "number", 2**63 - 1, "bytes", b"\xff", "float", 0.1)
    ctx.transaction.enqueue(follow.request(of=ctx.run))
    ctx.transaction.enqueue(app.request("follow", {"of": "later"}, delay=3600))
    for message, _ in ctx.transaction.follow_ups:
        ctx.transaction.write("SADD", f"of:{ctx.run}", message.run)
    if then == "fail":
        raise ValueError("no money")
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if then == "wait":
        ctx.progress(1)
        time.sleep(3600)
    return amount


@app.task
def pay_when(ctx: Context, amount: int, file: str) -> int:
    ctx.transaction.write("INCRBY", "balance", amount)
    ctx.progress(1)
    while not os.path.exists(file):
        time.sleep(0.005)
    return amount


@app.task
def pays_wrongly(ctx: Context) -> None:
    ctx.transaction.write("FLUSHALL", "x")


@app.task
def square(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n * n


@app.task
def total(ctx: Context, results: Results[int]) -> dict[str, object]:
    return {"sum": sum(results), "len": len(results), "failed": results.failed, "pid": os.getpid()}


@app.task
def fan(ctx: Context, count: int) -> str:
    def items():
        for number in range(count):
            ctx.progress(number, count)
            yield number

    return ctx.map(square, items(), reduce=total)


@app.task
async def fan_async(ctx: Context, items: list[int]) -> str:
    return await ctx.map_async(square, items, reduce=total)


@app.task
def fan_twice(ctx: Context) -> list[str]:
    return [ctx.map(square, items, reduce=total) for items in ([1, 2], [3])]


@app.task
def asks_for_what_there_is_not(ctx: Context) -> None:
    ctx.tools._connection.ask(ReadResults("nobody", 0, 1))


@app.task
def maps_badly(ctx: Context) -> list[str]:
    said = []

    def broken():
        yield 1
        raise ConnectionError("the source is gone")

    for task, items, failure in (("square", broken(), None), ("square", ["x"], None), ("square", [1], "never")):
        try:
            ctx.map(task, items, failure=failure)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


@app.task
def long_results(n: int) -> str:
    return "x" * 200_000


@app.task
def measure(results: Results[str]) -> int:
    return sum(map(len, results))


@app.task
def fan_of_long_ones(ctx: Context) -> str:
    return ctx.map(long_results, range(60), reduce=measure)


@app.task
def until_it_should_end(ctx: Context) -> str:
    ctx.progress(1)
    while not ctx.canceled:
        time.sleep(0.005)
    return ctx.ending


@app.task
def leaves_a_thread() -> int:
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


@app.task
def talks_after_its_end(ctx: Context) -> None:
    def talk() -> None:
        for _ in range(200):
            ctx.log("too late")
            time.sleep(0.001)

    threading.Thread(target=talk, daemon=True).start()


nightly = app.job("0 0 1 1 *", name="nightly", on_start=lambda ctx: ctx.log("on_start"))


@nightly.task
def extract(ctx: Context) -> list[int]:
    return [1, 2, 3]


@nightly.task(after=[extract])
def spread(ctx: Context, extract: list[int]) -> str:
    return ctx.map(square, extract)


@nightly.task(after=[spread])
async def load(ctx: Context, extract: list[int], spread: Results[int]) -> dict[str, object]:
    await asyncio.sleep(0)
    return {
        "extract": extract,
        "spread": list(spread),
        "last_run_at": ctx.last_run_at,
        "cancel_reason": ctx.cancel_reason,
    }


@nightly.on_complete
def done(report: Report) -> list[str]:
    return [f"{task.name} {task.state}" for task in report.tasks]


# For what is isolated after a crash: plain functions that take their whole worker with them, once.
@app.task(executor="auto", max_crashes=3)
def kills_its_worker_once(ctx: Context, file: str) -> dict[str, object]:
    ctx.progress(1)
    if not os.path.exists(file):
        with open(file, "w"):
            pass
        os._exit(9)
    ctx.transaction.write("INCRBY", "balance", 1)
    return {"pid": os.getpid(), "attempt": ctx.attempt}


@app.task(executor="auto")
def poisonous_reducer(ctx: Context, results: Results[int]) -> None:
    os._exit(sum(results))


@app.task(executor="auto")
def fan_to_poison(ctx: Context) -> str:
    return ctx.map(square, [1, 2], reduce=poisonous_reducer)


class Order(BaseModel):
    number: int
    raw: bytes = b"\x01"


modelled = app.job("0 0 1 1 *", name="modelled", mode="sequential")


@modelled.task(payload={"order": Order(number=7)})
def receive(order: Order) -> tuple[Order, bytes]:
    return order, b"abc"


@modelled.task
def pass_on(receive: tuple[Order, bytes], ctx: Context) -> None:
    ctx.log(repr(receive))


@app.on_worker_start
def begin() -> None:
    app.state.pid = os.getpid()


@app.on_worker_start
async def begin_on_the_loop() -> None:
    app.state.loop = asyncio.get_running_loop()
    app.state.beats = asyncio.create_task(asyncio.sleep(3600))


@app.on_worker_stop
async def end_on_the_loop() -> None:
    note = os.environ.get("TEST_NOTES")
    if note:
        with open(note, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {asyncio.get_running_loop() is app.state.loop}\n")


def get_pid():
    yield app.state.pid


async def get_loop():
    yield app.state.loop


@app.task
async def resources(pid: int = Depends(get_pid), loop: Any = Depends(get_loop)) -> list[Any]:
    app.state.left = asyncio.create_task(asyncio.sleep(3600), name="left behind")
    await asyncio.sleep(0)
    names = [each.get_name() for each in asyncio.all_tasks()]
    same = loop is asyncio.get_running_loop() and app.state.beats in asyncio.all_tasks()
    return [pid, os.getpid(), same, names.count("left behind")]
