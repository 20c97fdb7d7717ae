"""The example on Django in a real browser: its development server speaks WSGI, and the dashboard is behind the admin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from jobistemer import Jobistemer
from jobistemer.control.changes import ChangeList
from tests.support.clusters import free_port
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.servers import VALKEY, running

pytestmark = pytest.mark.browser
PREPARE = """
from workers import django as site
site.call_command("migrate", verbosity=0)
site.User.objects.create_superuser("ann", password="only here")
"""


def test_a_member_of_the_staff_logs_in_follows_the_link_and_acts_under_its_own_name(
    open_page: Callable[..., Page], tmp_path
):
    with running(VALKEY, tmp_path) as server:
        environment = {"JOBISTEMER_URL": server, "SITE_DB": str(tmp_path / "site.sqlite3")}
        with Process(PREPARE, folder=ROOT, environment=environment, command=("-c",)) as prepare:
            assert prepare.ends() == 0, prepare.text
        serve, port = ("-m", "workers.django", "runserver", "--noreload"), free_port()
        site = Process(str(port), folder=ROOT, environment=environment, command=serve)
        with Jobistemer(server) as jobs, site as web:
            jobs.enqueue("welcome", {"customer": 1})
            web.says("Starting development server")
            page = open_page(f"http://127.0.0.1:{port}/jobs/queues?from=outside")
            page.get_by_label("Username").fill("ann")
            page.get_by_label("Password").fill("only here")
            page.get_by_role("button", name="Log in").click()
            expect(page).to_have_url(f"http://127.0.0.1:{port}/jobs/queues?from=outside")
            page.get_by_role("button", name="Pause").first.click()
            expect(page.get_by_text("default is paused").first).to_be_visible()
            page.goto(f"http://127.0.0.1:{port}/admin/")
            page.get_by_role("link", name="Dashboard").first.click()
            expect(page).to_have_url(f"http://127.0.0.1:{port}/jobs/")
            assert [(change.by, change.target) for change in ChangeList(jobs.namespace).list()] == [("ann", "default")]
