"""A web application on FastAPI: roles in its process, the app in endpoints, progress of a run, the dashboard with its users."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from jobistemer import (
    NO_RETRIES,
    Context,
    InvalidInput,
    InvalidPayload,
    Jobistemer,
    Misconfigured,
    RunHandle,
    new_run_id,
)
from jobistemer.contrib import asgi
from jobistemer.contrib.asgi import get_jobistemer, jobistemer_lifespan, mount_dashboard, stream_run
from jobistemer.control.changes import ChangeList
from jobistemer.core.settings import WorkerSettings
from tests.support.apps import drain_queues, empty_app
from tests.support.questions import answer_by_link, ask_someone

AT = "http://localhost"


@pytest.fixture
def app(server_url):
    app = empty_app(server_url)

    @app.task(retry=NO_RETRIES)
    def count(ctx: Context, to: int) -> int:
        for number in range(to):
            ctx.log(f"line {number}\nof <b>\u2028two</b>")
            ctx.progress(number + 1, to, "rows")
        if to > 3:
            raise ValueError("too many")
        return to

    return app


def build(app, **settings):
    api = FastAPI(lifespan=jobistemer_lifespan(app, **settings))

    @api.post("/count/{to}")
    async def start(to: int, jobs: Annotated[Jobistemer, Depends(get_jobistemer)]) -> dict[str, str]:
        return {"run": (await jobs.enqueue_async("count", {"to": to})).id}

    @api.get("/runs/{run}")
    async def news(run: str, jobs: Annotated[Jobistemer, Depends(get_jobistemer)], request: Request) -> Any:
        return await stream_run(jobs.run(run), request)

    return api


def read_events(text):
    """Events as (id, event, data)."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if "event" in fields:
            events.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return events


def test_ticker_and_worker_live_with_the_application_and_touch_no_signal(app):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP)]
    with TestClient(build(app, ticker=True, worker=2)) as client:
        run = client.post("/count/2").json()["run"]
        assert app.run(run).result(timeout=60) == 2
        assert app.health().tickers == 1
        assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGTSTP)] == before
    assert (app.health().tickers, app.health().workers) == (0, 0)


def test_events_of_a_run_are_its_lines_its_progress_and_its_end(app):
    with TestClient(build(app, worker=True)) as client:
        run = client.post("/count/2").json()["run"]
        answer = client.get(f"/runs/{run}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    events = read_events(answer.text)
    assert [data["text"] for _, event, data in events if event == "log"] == [
        f"line {n}\nof <b>\u2028two</b>" for n in range(2)
    ]
    assert [place for place, event, _ in events if event == "log"] == ["0.0", "0.1"]
    assert [data for _, event, data in events if event == "progress"][-1] == {
        "attempt": 0,
        "done": 2,
        "total": 2,
        "note": "rows",
    }
    assert events[-1] == ("end", "end", {"state": "succeeded", "error": ""})


def test_a_browser_that_connects_again_gets_no_line_twice_and_after_the_end_it_is_asked_to_stay_away(app):
    with TestClient(build(app, worker=True)) as client:
        run = client.post("/count/4").json()["run"]
        first = read_events(client.get(f"/runs/{run}").text)
        again = read_events(client.get(f"/runs/{run}", headers={"last-event-id": "0.1"}).text)
        assert client.get(f"/runs/{run}", headers={"last-event-id": "end"}).status_code == 204
        odd = [
            read_events(client.get(f"/runs/{run}", headers={"last-event-id": each}).text)
            for each in ("x", "0.", "9" * 50 + ".1")
        ]
    lines = [[place for place, event, _ in each if event == "log"] for each in (again, first, *odd)]
    assert lines == [["0.2", "0.3"], *[["0.0", "0.1", "0.2", "0.3"]] * 4]
    state, error = again[-1][2]["state"], again[-1][2]["error"]
    assert state == "dead"
    assert error.startswith("ValueError: too many")


def test_a_run_that_is_not_on_record_is_not_found(app):
    with TestClient(build(app)) as client:
        assert client.get("/runs/run_0").status_code == 404


def test_a_stream_without_news_says_that_it_is_there_and_ends_with_its_browser(app, monkeypatch):
    monkeypatch.setattr(asgi, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(asgi, "END_LOOK_S", 0.01)
    monkeypatch.setattr(asgi, "LOOK_S", 0.01)
    with app:
        run = app.enqueue("count", {"to": 1})
    closed = []

    async def story():
        answer = await stream_run(run)
        parts = answer.body_iterator
        async for part in parts:
            if part.startswith(b":"):
                break
        await parts.aclose()
        closed.append(True)
        await app.aclose()

    asyncio.run(story())
    assert closed


def test_a_stream_waits_for_a_run_of_an_outbox_as_long_as_it_is_told(app, monkeypatch):
    monkeypatch.setattr(asgi, "LOOK_S", 0.001)
    late, looks = new_run_id(), []

    async def story():
        look = RunHandle.record_async

        async def send_at_the_third_look(handle):
            looks.append(handle.id)
            if len(looks) == 3:
                await app.enqueue_many_async([app.request("count", {"to": 1}, run_id=late)])
            return await look(handle)

        monkeypatch.setattr(RunHandle, "record_async", send_at_the_third_look)
        assert (await stream_run(app.run(late), wait_s=60)).status_code == 200
        with pytest.raises(asgi.HTTPException, match="is not on record"):
            await stream_run(app.run(new_run_id()))
        with pytest.raises(InvalidInput, match="wait_s is -1"):
            await stream_run(app.run(late), wait_s=-1)
        await app.aclose()

    asyncio.run(story())
    assert looks.count(late) == 3


class EndingServer:
    """A server like that of uvicorn, whose handler of SIGTERM is a method."""

    should_exit = True

    def handle_exit(self, *_):
        """End."""


def test_a_stream_ends_when_its_server_is_to_end_and_the_browser_asks_another_one(app, monkeypatch):
    monkeypatch.setattr(asgi, "END_LOOK_S", 0.01)
    run = app.enqueue("count", {"to": 1})

    async def story():
        answer = await stream_run(run)
        return [part async for part in answer.body_iterator]

    before = signal.signal(signal.SIGTERM, EndingServer().handle_exit)
    try:
        parts = asyncio.run(story())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert parts[0] == b"retry: 2000\n\n"
    assert not any(part.startswith(b"id: end") for part in parts)


def test_a_lifespan_of_the_application_is_around_that_of_jobistemer_and_keeps_its_state(app):
    seen = []

    @asynccontextmanager
    async def own(web):
        seen.append("begins")
        yield {"database": "db"}
        seen.append(f"ends after the workers: {app.health().workers == 0}")

    async def look(request):
        return RedirectResponse(f"/{request.state.database}/{get_jobistemer(request) is app}")

    web = Starlette(
        routes=[Mount("/inner", Starlette(routes=[Route("/", look)]))],
        lifespan=jobistemer_lifespan(app, worker=1, around=own),
    )
    with TestClient(web, follow_redirects=False) as client:
        assert client.get("/inner/").headers["location"] == "/db/True"
    assert seen == ["begins", "ends after the workers: True"]


def test_jobs_are_registered_before_the_first_request(app):
    app.job("0 0 1 1 *", name="yearly")(lambda: None)
    with TestClient(build(app, deploy=True)):
        assert app.control.find("yearly")


def test_an_application_without_the_lifespan_is_told_so(app):
    api = build(app)
    with pytest.raises(Misconfigured, match="with TestClient"):
        TestClient(api).post("/count/1")


@pytest.mark.parametrize("wrong", [-1, 1001, "8"])
def test_a_wrong_number_of_slots_is_refused_where_it_is_written(app, wrong):
    with pytest.raises(Misconfigured):
        jobistemer_lifespan(app, worker=wrong)


def test_worker_settings_are_taken_as_they_are(app):
    with TestClient(build(app, worker=WorkerSettings(queues={"default": 0}, grace_s=5))) as client:
        run = client.post("/count/1").json()["run"]
        assert app.run(run).result(timeout=60) == 1


def admin_of(request: Request) -> Any:
    user = request.headers.get("x-test-user", "")
    if user == "boom":
        raise HTTPException(401, "log in first")
    return {"": None, "zoe": "Zoë", "login": RedirectResponse("/login", 303)}.get(user, user)


async def admin_later(request: Request) -> Any:
    return admin_of(request)


@pytest.mark.parametrize("authorize", [admin_of, admin_later])
def test_the_dashboard_is_for_those_whom_the_application_lets_in_and_records_their_names(app, authorize):
    app.job("0 0 1 1 *", name="yearly")(lambda: None)
    app.deploy()
    api = FastAPI()
    mount_dashboard(api, "/admin/jobs", app, authorize=authorize)
    client = TestClient(api, base_url=AT, follow_redirects=False)
    assert client.get("/admin/jobs/").status_code == 403
    assert client.get("/admin/jobs/", headers={"x-test-user": "login"}).headers["location"] == "/login"
    assert client.get("/admin/jobs/", headers={"x-test-user": "boom"}).status_code == 401
    page = client.get("/admin/jobs/jobs/yearly", headers={"x-test-user": "zoe"})
    assert page.status_code == 200
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    form = {"csrf": csrf, "target": "yearly", "back": "/", "confirmed": "yes"}
    headers = {"origin": AT, "x-test-user": "zoe"}
    assert client.post("/admin/jobs/actions/pause-job", data=form, headers=headers).status_code == 303
    assert app.control.log("yearly")[0].by == "Zoë"


def test_a_signed_link_opens_its_question_for_one_whom_the_application_does_not_let_in(app):
    run = ask_someone(app)
    api = FastAPI()
    mount_dashboard(api, "/admin/jobs", app, authorize=admin_of)
    page = TestClient(api, base_url=AT).get("/admin/jobs/questions", headers={"x-test-user": "zoe"}).text
    stranger = TestClient(api, base_url=AT, follow_redirects=False)

    def get(path):
        answer = stranger.get(path)
        return answer.status_code, answer.text

    answer_by_link(page, get, lambda path, form: stranger.post(path, data=form, headers={"origin": AT}).status_code)
    drain_queues(app)
    assert run.result() == "ops said True"
    change = ChangeList(app.namespace).list()[0]
    assert (change.what, change.by) == ("answer run", "ops")


def test_an_authorization_that_cannot_be_called_is_refused(app):
    with pytest.raises(Misconfigured, match="authorize is 'admin'"):
        mount_dashboard(FastAPI(), "/jobs", app, authorize="admin")


@pytest.mark.parametrize("proxy", ["keeps", "strips"])
def test_under_a_prefix_every_address_leads_back_whether_the_proxy_keeps_or_strips_it(app, proxy):
    app.deploy()
    api = FastAPI()
    mount_dashboard(api, "/admin/jobs", app, authorize=lambda _: "ana")
    client = TestClient(api, base_url=AT, root_path="/shop", follow_redirects=False)
    prefix = "/shop" if proxy == "keeps" else ""
    for path in ("/", "/jobs", "/queues", "/static/dashboard.css"):
        assert client.get(f"{prefix}/admin/jobs{path}").status_code == 200, path
    links = [each.partition('"')[0] for each in client.get(f"{prefix}/admin/jobs/").text.split('href="')[1:]]
    assert links
    assert all(each.startswith(("/shop/admin/jobs/", "#")) for each in links), links


def get_pool() -> str:
    return "pool"


def test_a_task_may_have_its_dependencies_in_the_words_of_fastapi(app):
    @app.task
    def annotated(pool: Annotated[str, Depends(get_pool)], number: int) -> str:
        return f"{number} {pool}"

    @app.task
    def defaulted(number: int, pool: str = Depends(get_pool)) -> str:
        return f"{number} {pool}"

    runs = [annotated.enqueue(number=1), defaulted.enqueue(2)]
    with pytest.raises(InvalidPayload, match="unknown field `pool`"):
        app.enqueue("defaulted", {"number": 1, "pool": "mine"})
    drain_queues(app)
    assert [run.result(timeout=60) for run in runs] == ["1 pool", "2 pool"]
