"""Models of pydantic at work: calls, results, items of ctx.map, results of groups and of upstream tasks."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from jobistemer import Context, InvalidPayload, Jobistemer, Results
from jobistemer.testing import HandlerFailed, under_test


class Line(BaseModel):
    product: str
    count: int = Field(gt=0)


class Order(BaseModel):
    number: int
    lines: list[Line] = []


class Invoice(BaseModel):
    order: Order
    total: int


ORDER = Order(number=7, lines=[Line(product="tea", count=2), Line(product="rum", count=3)])


@pytest.fixture
def app():
    return Jobistemer("redis://127.0.0.1:1/0")


@pytest.fixture
def jobs(app):
    with under_test(app) as opened:
        yield opened


def test_a_call_and_its_result_are_models_for_typed_and_untyped_producers(app, jobs):
    @app.task
    def bill(order: Order, urgent: Order | None = None) -> Invoice:
        assert type(order) is Order
        return Invoice(order=order, total=sum(line.count for line in order.lines))

    runs = [
        bill.enqueue(ORDER),
        bill.enqueue(order=ORDER, urgent=ORDER),
        app.enqueue("bill", {"order": ORDER}),
        app.enqueue("bill", {"order": ORDER.model_dump()}),
        app.enqueue_many([bill.request(ORDER)])[0],
    ]
    jobs.run_until_idle()
    assert [run.result(timeout=60) for run in runs] == [Invoice(order=ORDER, total=5)] * 5
    assert app.run(runs[0].id).result(timeout=60) == Invoice(order=ORDER, total=5).model_dump()
    jobs.assert_enqueued(bill, order=ORDER.model_dump())
    with pytest.raises(InvalidPayload, match=r"at `\$\.order\.lines\[0\]\.count`"):
        app.enqueue("bill", {"order": {"number": 7, "lines": [{"product": "tea", "count": 0}]}})


def test_items_and_results_of_a_group_are_models(app, jobs):
    seen = []

    @app.task
    def fan(order: Order, ctx: Context) -> None:
        ctx.map(count, order.lines, reduce=collect)

    @app.task
    def count(line: Line) -> Line:
        return line.model_copy(update={"count": line.count * 2})

    @app.task
    def collect(results: Results[Line]) -> None:
        seen.append(list(results))

    @app.task
    def fan_of_names(ctx: Context) -> None:
        ctx.map("count", [{"line": each} for each in ORDER.lines], reduce="collect")

    for task, call in ((fan, (ORDER,)), (fan_of_names, ())):
        seen.clear()
        task.enqueue(*call)
        jobs.run_until_idle()
        assert seen == [[Line(product="tea", count=4), Line(product="rum", count=6)]]


def test_a_result_of_an_upstream_task_is_a_model_and_so_is_the_payload_of_a_job(app, jobs):
    nightly, seen = app.job("0 2 * * *", name="nightly", mode="sequential"), []

    @nightly.task(payload={"order": ORDER})
    def extract(order: Order) -> list[Order | int]:
        return [order, 3]

    @nightly.task
    def load(extract: list[Order | int]) -> None:
        seen.append(extract)

    app.deploy()
    jobs.advance(days=1)
    assert seen == [[ORDER, 3]]


def test_a_result_that_is_no_such_model_ends_the_run_with_the_path(app, jobs):
    @app.task
    def wrong() -> Invoice:
        return Invoice.model_construct(order=ORDER, total="many")

    wrong.enqueue()
    with pytest.raises(HandlerFailed, match=r"valid integer.*at `\$\.total`"):
        jobs.run_until_idle()
