"""The example on FastAPI in a real browser: an order is placed, its progress appears, and the dashboard is mounted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.clusters import free_port
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.servers import VALKEY, running

pytestmark = pytest.mark.browser


def test_a_browser_orders_sees_the_progress_and_looks_at_the_jobs(open_page: Callable[..., Page], tmp_path):
    port = free_port()
    command = ("-m", "uvicorn", "workers.web:api", "--workers", "2", "--host", "127.0.0.1", "--port")
    with (
        running(VALKEY, tmp_path) as url,
        Process(str(port), folder=ROOT, environment={"JOBISTEMER_URL": url}, command=command) as web,
    ):
        for _ in range(2):
            web.says("Application startup complete")
        page = open_page(f"http://127.0.0.1:{port}/")
        page.get_by_role("button", name="Order").click()
        expect(page.locator("pre")).to_contain_text('end {"state":"succeeded"', timeout=30_000)
        expect(page.locator("pre")).to_contain_text("3 parcels for Ann")
        page.goto(f"http://127.0.0.1:{port}/admin/jobs/queues")
        page.get_by_role("link", name="Workers").first.click()
        expect(page).to_have_url(f"http://127.0.0.1:{port}/admin/jobs/workers")
