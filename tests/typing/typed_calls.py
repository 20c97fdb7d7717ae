"""What type checkers must accept, and what they must refuse, in calls of tasks.

A line that must be refused ends in `# refused`; `test_typing.py` runs mypy and pyright over this file and requires an
error on each of these lines and on no other.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_type

from jobistemer import Context, Jobistemer, RunHandle

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


def accepted() -> None:
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
