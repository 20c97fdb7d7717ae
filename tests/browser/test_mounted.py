"""The dashboard in a FastAPI application, with its login, directly and behind proxies that keep or strip a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobistemer.contrib.asgi import mount_dashboard
from jobistemer.control.changes import ChangeList
from tests.support.worker_processes import wait_until

pytestmark = pytest.mark.browser
HOP_BY_HOP = {"content-length", "content-encoding", "transfer-encoding", "connection"}


@contextmanager
def listening(application, **options) -> Iterator[str]:
    """The address of an application that uvicorn serves."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="off", **options))
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "it listens")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


def make_shop(app) -> FastAPI:
    """A web application whose users have a cookie from its own login."""
    shop = FastAPI()

    @shop.get("/")
    def start() -> dict[str, str]:
        return {"shop": "open"}

    mount_dashboard(shop, "/admin/jobs", app, authorize=lambda request: request.cookies.get("shop_user"))
    return shop


def make_proxy(backend: str, *, strips: bool) -> Starlette:
    """A reverse proxy at /shop, as nginx is with `proxy_pass http://backend/;` (strips) or without the last slash."""

    async def forward(request: Request) -> Response:
        path = request.url.path.removeprefix("/shop") if strips else request.url.path
        async with httpx2.AsyncClient() as client:
            answer = await client.request(
                request.method,
                f"{backend}{path}?{request.url.query}",
                headers=[(name, value) for name, value in request.headers.items() if name not in HOP_BY_HOP],
                content=await request.body(),
            )
        response = Response(answer.content, answer.status_code)
        response.raw_headers += [
            (name, value) for name, value in answer.headers.raw if name.decode().lower() not in HOP_BY_HOP
        ]
        return response

    return Starlette(routes=[Route("/shop/{path:path}", forward, methods=["GET", "POST"])])


@contextmanager
def mounted(app, kind: str) -> Iterator[str]:
    """The address of the dashboard as a browser sees it."""
    shop = make_shop(app)
    if kind == "directly":
        with listening(shop) as address:
            yield f"{address}/admin/jobs"
        return
    # An application behind a proxy that strips a prefix is told it (`uvicorn --root-path`); one that gets it whole, by
    # being mounted there itself.
    strips = kind == "a proxy that strips"
    outer = shop if strips else FastAPI()
    if not strips:
        outer.mount("/shop", shop)
    options = {"root_path": "/shop"} if strips else {}
    with listening(outer, **options) as backend, listening(make_proxy(backend, strips=strips)) as address:
        yield f"{address}/shop/admin/jobs"


@pytest.mark.parametrize("kind", ["directly", "a proxy that strips", "a proxy that keeps"])
def test_the_dashboard_works_in_an_application_with_its_users(world, open_page, kind):
    with mounted(world.app, kind) as address:
        page = open_page("about:blank")
        origin = address.partition("/admin")[0].removesuffix("/shop")
        page.context.add_cookies([{"name": "shop_user", "value": "ben@shop", "url": origin}])
        page.goto(f"{address}/jobs")
        # The stylesheet and the script have come: the button is shown by the one and laid out by the other.
        expect(page.get_by_role("button", name="Live")).to_be_visible()
        page.get_by_role("link", name="hostile").click()
        assert page.url == f"{address}/jobs/hostile"
        page.get_by_text("Pause…").click()
        page.get_by_label("Why").fill("by a proxy")
        page.locator("#pause-now").click()
        expect(page.get_by_role("status")).to_contain_text("hostile is paused")
        assert page.url == f"{address}/jobs/hostile"
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("status")).to_contain_text("hostile goes on")
        changes = [(each.by, each.what) for each in ChangeList(world.app.namespace).list(0, 2)]
        assert changes == [("ben@shop", "resume job"), ("ben@shop", "pause job")]
        page.keyboard.press("g")
        page.keyboard.press("c")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Changes")
        page.get_by_role("link", name="hostile").first.click()
        assert page.url == f"{address}/jobs/hostile"
        page.locator(".find input").fill("etl")
        page.locator(".find input").press("Enter")
        page.get_by_role("link", name="warehouse/etl", exact=True).click()
        assert page.url == f"{address}/jobs/warehouse%2Fetl"


def test_who_is_not_logged_in_with_the_application_sees_nothing(world):
    with mounted(world.app, "directly") as address:
        for path in ("/", "/jobs", "/jobs/hostile", "/login"):
            answer = httpx2.get(f"{address}{path}")
            assert answer.status_code == 403, path
            assert "hostile" not in answer.text
        # The page behind a link to one question needs it, and nothing of the system stands in it.
        assert httpx2.get(f"{address}/static/dashboard.css").status_code == 200
        assert httpx2.post(f"{address}/actions/pause-job", data={"target": "hostile"}).status_code == 403
