"""Dependencies where they are declared: hidden from callers, and refused when no worker could provide them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from jobistemer import Context, Depends, InvalidDefinition, InvalidInput, InvalidPayload, Jobistemer


class Pool:
    """A class that no JSON gives."""


class Session(msgspec.Struct):
    """A class that JSON could give."""

    user: str = ""


def get_pool() -> Pool:
    return Pool()


async def get_pool_later() -> Pool:
    return Pool()


async def open_pool_later():
    yield Pool()


def needs_later(pool: Annotated[Pool, Depends(get_pool_later)]) -> Pool:
    return pool


def needs_request(request: int) -> Pool: ...


def turns(me: Any = None): ...


turns.__defaults__ = (Depends(turns),)


@pytest.fixture
def app():
    return Jobistemer("fake://dependencies")


def declare(app, how):
    if how == "default":

        @app.task
        def task(number: int, pool: Pool = Depends(get_pool)) -> None: ...
    elif how == "annotated":

        @app.task
        def task(pool: Annotated[Pool, Depends(get_pool)], number: int) -> None: ...
    elif how == "class":

        @app.task
        def task(pool: Annotated[Pool, Depends()], number: int) -> None: ...
    elif how == "type":
        app.provide(Pool, get_pool)

        @app.task
        def task(pool: Pool, number: int) -> None: ...
    elif how == "name":
        app.provide("pool", get_pool)

        @app.task
        def task(pool: Any, number: int) -> None: ...

    return task


WAYS = ["default", "annotated", "class", "type", "name"]


@pytest.mark.parametrize("how", WAYS)
def test_callers_do_not_see_a_dependency_and_no_payload_fills_it(app, how):
    task = declare(app, how)
    assert task.handler.parameters == ("number",)
    task.enqueue(number=1)
    with pytest.raises(InvalidPayload, match="unknown field `pool`"):
        app.enqueue("task", {"number": 1, "pool": {}})
    with pytest.raises(InvalidPayload, match="unexpected keyword argument 'pool'"):
        task.enqueue(number=1, pool=Pool())


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (7, "a provider is 7, allowed is a function"),
        ([].append, "cannot be read|needs 'object'"),
        (needs_request, "provider needs_request needs 'request', which no worker has"),
        (get_pool_later, "get_pool_later is asynchronous and the task is a plain function"),
        (open_pool_later, "open_pool_later is asynchronous"),
        (needs_later, "get_pool_later is asynchronous"),
        (turns, "turns depends on itself"),
    ],
    ids=["a number", "positional", "request", "coroutine", "generator", "nested", "circle"],
)
def test_a_provider_that_no_worker_can_call_is_refused_where_the_task_is_declared(app, provider, words):
    def task(pool: Any = Depends(provider)) -> None: ...

    with pytest.raises(InvalidDefinition, match=words):
        app.task(task)
    assert app.handlers == {}


def test_a_coroutine_may_have_asynchronous_providers(app):
    @app.task
    async def task(
        one: Annotated[Pool, Depends(get_pool_later)],
        two: Annotated[Pool, Depends(open_pool_later)],
        three: Annotated[Pool, Depends(needs_later)],
        four: Annotated[Pool, Depends(get_pool)],
    ) -> None: ...

    assert task.handler.parameters == ()


def test_what_is_provided_after_a_task_that_has_such_a_parameter_is_refused(app):
    @app.task
    def task(session: Session) -> None: ...

    with pytest.raises(InvalidDefinition, match=r"'task' takes 'session' from its callers"):
        app.provide("session", get_pool)
    with pytest.raises(InvalidDefinition, match=r"was declared before app.provide"):
        app.provide(Session, get_pool)


def test_a_call_in_this_process_gives_its_dependencies_itself(app):
    @app.task
    def task(number: int, ctx: Context, pool: Pool = Depends(get_pool)) -> tuple[int, bool]:
        return number, isinstance(pool, Pool) and isinstance(ctx, Context)

    assert task(1, pool=Pool()) == (1, True)
    with pytest.raises(InvalidInput, match=r"without pool: give it by name, as task\(…, pool=…\)"):
        task(1)
    with pytest.raises(InvalidPayload, match="cannot be called so"):
        task(1, pool=Pool(), nothing=1)


def test_a_class_that_no_json_gives_names_both_remedies(app):
    def task(pool: Pool) -> None: ...

    with pytest.raises(
        InvalidDefinition, match=r"Pool has no form in JSON: use a dataclass or a model; what .* by = Depends"
    ):
        app.task(task)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (lambda app: None, "calls its functions without arguments"),
        (7, "is given 7"),
        (open_pool_later, "allowed is a function or a coroutine function"),
    ],
    ids=["arguments", "number", "generator"],
)
def test_a_start_function_that_cannot_be_called_is_refused(app, hook, words):
    for event in (app.on_worker_start, app.on_worker_stop):
        with pytest.raises(InvalidDefinition, match=words):
            event(hook)


def test_state_that_is_not_there_names_the_remedy(app):
    app.state.pool = Pool()
    assert isinstance(app.state.pool, Pool)
    with pytest.raises(AttributeError, match=r"app.state has no 'session'.*@app.on_worker_start"):
        app.state.session  # noqa: B018
