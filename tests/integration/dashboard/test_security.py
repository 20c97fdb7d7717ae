"""The checks before every page: hosts, tokens, signed cookies, headers; and pages while the server is away."""

from __future__ import annotations

import time

import pytest
import time_machine

from jobistemer.core.errors import InvalidInput
from jobistemer.store.namespace import Namespace
from jobistemer.web.application import make_application
from jobistemer.web.dashboard.settings import DashboardSettings
from jobistemer.web.security.authentication import AUTH_LIFETIME_S, Signer
from tests.support.clusters import free_port
from tests.support.dashboard_client import AT, DashboardClient

TOKEN = "a-token-of-this-test"


@pytest.fixture
def locked(app):
    return DashboardClient(app.namespace, token=TOKEN, hosts=frozenset())


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/dashboard.css", "/login"])
def test_every_answer_has_the_headers_that_keep_strangers_code_out(visitor, path):
    headers = visitor.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("max-age=3600" if path.startswith("/static") else "no-store")


def test_cookies_are_for_this_site_and_for_no_script(visitor):
    set_cookie = visitor.client.get("/").headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert "set-cookie" not in visitor.client.get("/").headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8787", "", "10.0.0.7:8787"])
def test_a_strange_name_is_not_answered_to(visitor, host):
    assert visitor.client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8787", "[::1]:8787"])
def test_loopback_is_answered_to_by_all_its_names(visitor, host):
    assert visitor.client.get("/", headers={"host": host}).status_code == 200


def test_with_a_token_nobody_sees_anything_without_it(locked, app):
    for path in ("/", "/jobs", "/dead", "/find?q=x", "/nowhere"):
        answer = locked.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    for path in ("/login", "/static/none.css"):
        page = locked.client.get(path).text
        assert app.namespace.url not in page
        assert "test" not in page
    assert locked.client.post("/actions/pause-queue", data={"target": "mail"}).status_code == 401
    assert app.queues.list() == []


def test_who_knows_the_token_comes_in_and_stays_in(locked):
    wrong = locked.client.post("/login", data={"csrf": locked.csrf_token(), "token": "guessed"}, headers={"origin": AT})
    assert wrong.status_code == 401
    assert "guessed" not in wrong.text
    right = locked.client.post("/login", data={"csrf": locked.csrf_token(), "token": TOKEN}, headers={"origin": AT})
    assert right.status_code == 303
    assert TOKEN not in right.headers["set-cookie"]
    assert "No job has an instant" in locked.look("/")


def log_in(browser):
    data = {"csrf": browser.csrf_token(), "token": TOKEN}
    assert browser.client.post("/login", data=data, headers={"origin": AT}).status_code == 303


def test_a_pass_that_is_forged_is_refused(locked):
    log_in(locked)
    value, signed_at, signature = locked.client.cookies["jobistemer_pass"].split(".")
    locked.client.cookies.clear()
    for forged in ("x", "eA==.00", "é.é", f"{value}.{signed_at}", f"{value}.{signed_at}.{signature[::-1]}", f"{value}.zzzzzz.{signature}"):
        locked.client.cookies.set("jobistemer_pass", forged.encode("ascii", "replace").decode())
        assert locked.client.get("/").status_code == 303


def test_a_pass_expires_also_where_the_browser_keeps_its_cookie(locked):
    log_in(locked)
    kept = locked.client.cookies["jobistemer_pass"]
    for age_s, status in ((AUTH_LIFETIME_S - 60, 200), (AUTH_LIFETIME_S + 60, 303)):
        with time_machine.travel(time.time() + age_s):
            locked.client.cookies.set("jobistemer_pass", kept)
            assert locked.client.get("/").status_code == status


def test_a_pass_outlives_the_process_but_not_the_token(locked, app):
    log_in(locked)
    kept = locked.client.cookies["jobistemer_pass"]
    for token, status in ((TOKEN, 200), ("another-token-of-this-test", 303)):
        restarted = DashboardClient(app.namespace, token=token, hosts=frozenset())
        restarted.client.cookies.set("jobistemer_pass", kept)
        assert restarted.client.get("/").status_code == status


def test_a_message_that_another_process_has_signed_is_not_shown(visitor, app):
    visitor.client.cookies.set("jobistemer_said", Signer().encode("said", "all is lost"))
    assert "all is lost" not in visitor.look("/")
    visitor.client.cookies.set("jobistemer_said", visitor.application.state.dashboard.signer.encode("form", "all is lost"))
    assert "all is lost" not in visitor.look("/")
    visitor.client.cookies.set("jobistemer_said", visitor.application.state.dashboard.signer.encode("said", "all is well"))
    assert "all is well" in visitor.look("/")


def test_programs_bring_the_token_in_a_header(locked):
    assert locked.client.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.client.get("/", headers={"authorization": "Bearer other"}).status_code == 303


def test_the_form_of_the_token_cannot_be_sent_by_another_site(locked):
    data = {"csrf": locked.csrf_token(), "token": TOKEN}
    assert locked.client.post("/login", data=data, headers={"origin": "http://evil.example"}).status_code == 403


def test_a_server_that_is_away_is_a_page_that_says_so():
    visitor = DashboardClient(Namespace(f"redis://ann:s3cret@127.0.0.1:{free_port()}/0", "test"))
    for path in ("/", "/jobs", "/jobs/x", "/runs/run_1", "/dead", "/workers", "/queues"):
        assert "no Redis or Valkey server answers at redis://ann:***@127.0.0.1" in visitor.look(path, 503)
    assert visitor.send("pause-queue", "mail").status_code == 503
    assert visitor.client.get("/").headers["retry-after"] == "5"


@pytest.mark.parametrize(
    "url",
    [
        "rediss://ann:s3cret@127.0.0.1:1/0",
        "redis+sentinel://ann:s3cret@127.0.0.1:1/main/0?sentinel_password=s3cret",
        "unix://ann:s3cret@/nowhere/socket",
        "redis://127.0.0.1:1/0?password=s3cret",
    ],
)
def test_the_password_of_a_server_is_on_no_page(url):
    page = DashboardClient(Namespace(url, "test")).look("/", 503)
    assert "***" in page
    assert "s3cret" not in page


def test_a_fault_of_the_dashboard_is_a_page_that_gives_nothing_away(app, monkeypatch):
    visitor = DashboardClient(app.namespace)
    visitor.client = type(visitor.client)(visitor.application, base_url=AT, raise_server_exceptions=False)
    monkeypatch.setattr("jobistemer.store.reads.queues.list_queues", lambda _: 1 / 0)
    page = visitor.look("/queues", 500)
    assert "default-src 'none'" in visitor.client.get("/queues").headers["content-security-policy"]
    assert "That is a fault of the dashboard" in page
    assert "ZeroDivisionError" not in page


def test_who_acts_has_a_name_that_can_be_kept(app):
    with pytest.raises(InvalidInput, match="printable characters"):
        make_application(app.namespace, DashboardSettings(by="x" * 101))
