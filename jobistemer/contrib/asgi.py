"""FastAPI, Starlette and other ASGI frameworks: roles in the web process, progress in a browser, the dashboard.

pip install 'jobistemer[dashboard]'

from jobistemer.contrib.asgi import get_jobistemer, jobistemer_lifespan, mount_dashboard, stream_run

api = FastAPI(lifespan=jobistemer_lifespan(app, ticker=True, worker=True))
mount_dashboard(api, "/admin/jobs", app, authorize=current_admin)

@api.get("/reports/{run}/progress")
async def progress(run: str, jobs: Annotated[Jobistemer, Depends(get_jobistemer)], request: Request):
    return await stream_run(jobs.run(run), request)
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from jobistemer.app import Jobistemer
from jobistemer.app.handles import RunHandle
from jobistemer.contrib.app_check import check_app
from jobistemer.core.checks import check_range, show
from jobistemer.core.errors import InvalidInput, Misconfigured, NotConnected, UnknownRun
from jobistemer.core.safe_text import escape_text
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.states import TERMINAL_RUNS
from jobistemer.store.reads.run_watcher import RunUpdate
from jobistemer.web import dashboard
from jobistemer.web.security.middleware import needs_login, restore_path, route_path
from jobistemer.web.shared.settings import USER_SCOPE

STATE = "jobistemer"
"""The name of the app in the state of the lifespan: `request.state.jobistemer`."""
LOOK_S = 0.5
"""How often a stream looks for news of its run."""
LONGEST_WAIT_S = 60.0
"""How long a stream may be told to wait for a run to be on record."""
KEEP_ALIVE_S = 15.0
"""Seconds without news after which a stream sends a comment: a proxy must not close it, and a browser that has left
is noticed only when something is sent."""
END_LOOK_S = 1.0
"""How often a stream looks whether its server is to end."""
LAST_EVENT = "end"
"""The id of the last event of a run."""

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
"""The lifespan of a web application, with the state that its requests find."""
OwnLifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]
"""The lifespan that an application brings itself; it need have no state."""
Authorize = Callable[[Request], Any]
"""A function or coroutine function from a request to the name of its user, a response, or None for a refusal."""


class Mounting(Protocol):
    """An application that others can be mounted in, such as that of FastAPI or Starlette."""

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        """Mount an application under a path."""
        ...


def jobistemer_lifespan(
    app: Jobistemer,
    *,
    ticker: bool = False,
    worker: bool | int | WorkerSettings = False,
    deploy: bool = False,
    around: OwnLifespan | None = None,
) -> Lifespan:
    """Return the lifespan of a web application whose processes run a ticker, a worker, or both, beside the requests.

    They run in threads and touch no signal: the server starts and ends them with the application. worker: True for as
    many slots as `jobistemer-worker` has by default, or their number, or WorkerSettings. deploy: register the jobs of
    the app before the first request. around: a lifespan of the application, which begins before and ends after.
    `get_jobistemer` gives the app to endpoints. At the end the connections of the process are closed.
    Raises Misconfigured; the lifespan raises what `app.deploy` raises.
    """
    check_app("the lifespan", app)
    slots = WorkerSettings().concurrency if worker is True else worker or 0
    # Checked here: a wrong number must not wait for the first start of the server.
    app.running(ticker=ticker, worker=slots)

    @asynccontextmanager
    async def lifespan(web: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            state: Mapping[str, Any] | None = None
            if around is not None:
                state = await stack.enter_async_context(around(web))
            stack.push_async_callback(app.aclose)
            if deploy:
                await app.deploy_async()
            await stack.enter_async_context(app.running(ticker=ticker, worker=slots))
            yield {**(state or {}), STATE: app}

    return lifespan


def get_jobistemer(connection: HTTPConnection) -> Jobistemer:
    """Return the app of the lifespan; a dependency of FastAPI: `Annotated[Jobistemer, Depends(get_jobistemer)]`.

    Raises Misconfigured when the application has another lifespan.
    """
    found = getattr(connection.state, STATE, None)
    if not isinstance(found, Jobistemer):
        raise Misconfigured(
            "this web application was started without the lifespan of Jobistemer: give it "
            "lifespan=jobistemer_lifespan(app); a test client runs it as a context, `with TestClient(api) as client:`"
        )
    return found


async def stream_run(run: RunHandle[Any], request: Request | None = None, *, wait_s: float = 0.0) -> Response:
    """Return the news of a run as Server-Sent Events: `state`, `progress`, `log`, and at last `end`.

    The data of an event is one JSON object. A browser that connects again, with the id of the last event that it has
    seen, is not sent earlier lines again, and after `end` it is asked to stay away (204). The application decides
    beforehand who may look at the run. wait_s: so long the run may be unknown (0–60 s), as one of an outbox is until
    its relay has sent it. Raises HTTPException 404 when the run is not on record, InvalidInput.
    """
    check_range("wait_s", wait_s, 0, LONGEST_WAIT_S, InvalidInput)
    seen = "" if request is None else request.headers.get("last-event-id", "")
    if seen == LAST_EVENT:
        return Response(status_code=204)
    await _find_run(run, time.monotonic() + wait_s)
    # Proxies such as nginx collect a response before they pass it on, unless they are asked not to.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_write_events(run, seen), media_type="text/event-stream", headers=headers)


async def _find_run(run: RunHandle[Any], deadline: float) -> None:
    while True:
        try:
            await run.record_async()
        except UnknownRun as error:
            if time.monotonic() >= deadline:
                raise HTTPException(404, str(error)) from None
            await asyncio.sleep(LOOK_S)
        else:
            return


def mount_dashboard(
    web: Mounting,
    path: str,
    app: Jobistemer,
    *,
    authorize: Authorize,
    hosts: Iterable[str] = (),
    read_only: bool = False,
) -> None:
    """Mount the dashboard of an app under a path of a web application, for the users whom `authorize` lets in.

    authorize: a function or coroutine function, called with each request. It returns the name of the user, which audit
    lists show; or a response, such as a redirect to the login; or None, and the request is refused (403). What it
    raises, such as an HTTPException, is answered by the web application. hosts: see `jobistemer.web.dashboard`.
    Raises Misconfigured.
    """
    if not callable(authorize):
        raise Misconfigured(f"authorize is {show(authorize)}, allowed is a function from a request to a user's name")
    web.mount(path, Authorized(dashboard(app, hosts=hosts, read_only=read_only), authorize))


class Authorized:
    """A dashboard for those whom a function lets in; signed links open their question for everyone who has them."""

    def __init__(self, inner: ASGIApp, authorize: Authorize) -> None:
        self._inner = inner
        self._authorize = authorize

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with the name of its user."""
        path = route_path(restore_path(scope), scope["root_path"]) if scope["type"] == "http" else None
        if scope["type"] != "http" or not needs_login(path or ""):
            await self._inner(scope, receive, send)
            return
        user = self._authorize(Request(scope, receive))
        user = await user if isinstance(user, Awaitable) else user
        if isinstance(user, Response):
            await user(scope, receive, send)
        elif isinstance(user, str) and user:
            await self._inner({**scope, USER_SCOPE: user}, receive, send)
        else:
            await PlainTextResponse("You may not look at the jobs.\n", 403)(scope, receive, send)


async def _write_events(run: RunHandle[Any], seen: str) -> AsyncIterator[bytes]:
    # A browser connects again by itself, also after an outage of the server.
    yield b"retry: 2000\n\n"
    async with aclosing(_watch(run)) as news:
        last, sent_at = _read_place(seen), time.monotonic()
        async for update in news:
            if update is not None and (update.line is None or (update.attempt, update.line.n) > last):
                yield _write_event(update)
                sent_at = time.monotonic()
            elif time.monotonic() - sent_at >= KEEP_ALIVE_S:
                yield b": still there\n\n"
                sent_at = time.monotonic()
            if update is not None and _is_end(update):
                record = await run.record_async()
                yield _format("end", {"state": update.state, "error": escape_text(record.error)}, LAST_EVENT)


def _is_end(update: RunUpdate) -> bool:
    return update.line is None and update.progress is None and update.state in TERMINAL_RUNS


async def _watch(run: RunHandle[Any]) -> AsyncGenerator[RunUpdate | None, None]:
    """Yield the news of a run, and None now and then without any, until the run or the server of this process ends."""
    news = run.watch_async(every=LOOK_S)
    pending: asyncio.Future[RunUpdate | None] | None = None
    try:
        while not _is_server_ending():
            pending = pending or asyncio.ensure_future(_next_or_none(news))
            await asyncio.wait({pending}, timeout=END_LOOK_S)
            if not pending.done():
                yield None
                continue
            update, pending = pending.result(), None
            if update is None:
                return
            yield update
    except (NotConnected, UnknownRun):
        # The browser asks again, and then it is told what is so.
        return
    finally:
        if pending is None:
            await news.aclose()
        else:
            # The iterator is executed at this moment: it ends by the exception, and cannot be closed from outside.
            pending.cancel()


def _is_server_ending() -> bool:
    """Return whether uvicorn waits for its open connections to end; it sends them nothing, and waits for ever."""
    # Its handler of SIGTERM is a method of the server. Looked at, and never replaced.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


async def _next_or_none(news: AsyncIterator[RunUpdate]) -> RunUpdate | None:
    return await anext(news, None)


def _write_event(update: RunUpdate) -> bytes:
    if update.line is not None:
        line = update.line
        facts = {"attempt": update.attempt, "at": line.at, "level": line.level, "text": line.text}
        return _format("log", facts, f"{update.attempt}.{line.n}")
    if update.progress is not None:
        return _format("progress", {"attempt": update.attempt, **msgspec.structs.asdict(update.progress)})
    return _format("state", {"attempt": update.attempt, "state": update.state})


def _format(event: str, facts: Mapping[str, Any], identity: str = "") -> bytes:
    # JSON has no line feeds of its own, so the data of an event is always one line.
    head = f"id: {identity}\n" if identity else ""
    return f"{head}event: {event}\ndata: {msgspec.json.encode(facts).decode()}\n\n".encode()


def _read_place(seen: str) -> tuple[int, int]:
    """Return attempt and number of the last line that a browser has seen; of what is no such id, those of none."""
    attempt, _, number = seen.partition(".")
    is_place = attempt.isascii() and number.isascii() and attempt.isdigit() and number.isdigit() and len(seen) < 40
    return (int(attempt), int(number)) if is_place else (-1, -1)
