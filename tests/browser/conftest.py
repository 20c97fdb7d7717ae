"""A dashboard that is served, and a headless Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from jobistemer import Jobistemer
from jobistemer.web.application import make_application
from jobistemer.web.server import build_config
from jobistemer.web.shared.settings import DashboardSettings
from tests.support.apps import empty_app
from tests.support.sample_data import populate
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import wait_until

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HERE = "http://127.0.0.1:"
"""All that a page may load begins so."""
CHROMIUM = os.environ.get("JOBISTEMER_TEST_CHROMIUM") or shutil.which("chromium")


def is_complaint(told: ConsoleMessage) -> bool:
    """Whether the browser complains; not of an icon, for which it asks by itself on pages that are not ours."""
    return told.type in ("error", "warning") and not told.location["url"].endswith("/favicon.ico")


class World(NamedTuple):
    """An app, what has happened in it, and where two dashboards of it are."""

    app: Jobistemer
    ids: dict[str, str]
    address: str
    read_only: str


@contextmanager
def served(app: Jobistemer, **settings: object) -> Iterator[str]:
    """A dashboard on a port of its own; its address."""
    application = make_application(app.namespace, DashboardSettings(**{"by": "ana", **settings}))
    server = uvicorn.Server(build_config(application, port=0))
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the dashboard listens")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(VALKEY, tmp_path_factory.mktemp("browser")) as url:
        app = empty_app(url)
        ids = populate(app)
        with served(app) as address, served(app, read_only=True) as read_only:
            yield World(app, ids, address, read_only)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM, "no chromium is installed: apt-get install chromium, or name one in JOBISTEMER_TEST_CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page; at the end of the test none may have complained."""
    complaints: list[str] = []
    contexts = []

    def opened(address: str, **options: object) -> Page:
        contexts.append(chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda told: complaints.append(told.text) if is_complaint(told) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(HERE) else complaints.append(asked.url))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
