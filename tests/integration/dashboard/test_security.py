"""The checks before every page: hosts, tokens, signed cookies, headers; and pages while the server is away."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from urllib.parse import quote

import pytest
import time_machine

from jobistemer.core.errors import InvalidInput
from jobistemer.store.namespace import Namespace
from jobistemer.web.application import make_application
from jobistemer.web.security.authentication import AUTH_LIFETIME_S
from jobistemer.web.security.cookies import name_cookies
from jobistemer.web.security.signing import Signer
from jobistemer.web.server import _listen
from jobistemer.web.shared.settings import DashboardSettings, build_settings
from tests.support.clusters import free_port
from tests.support.dashboard_client import AT, DashboardClient
from tests.support.worker_processes import wait_until

TOKEN = "a-token-of-this-test"
BROWSER = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def locked(app):
    return DashboardClient(app.namespace, token=TOKEN)


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
    assert "samesite=strict" in set_cookie.lower()
    assert "set-cookie" not in visitor.client.get("/").headers


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8787", ""])
def test_a_strange_name_is_not_answered_to(visitor, host):
    assert visitor.client.get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8787", "[::1]:8787", "10.0.0.7:8787", "[fd00::7]"]
)
def test_localhost_and_addresses_are_answered_to(visitor, host):
    assert visitor.client.get("/", headers={"host": host}).status_code == 200


def test_with_a_token_nobody_sees_anything_without_it(locked, app):
    for path in ("/", "/jobs", "/dead", "/find?q=x", "/nowhere"):
        answer = locked.client.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(path)}")
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
    value, signed_at, signature = locked.cookie("pass").split(".")
    locked.client.cookies.clear()
    for forged in (
        "x",
        "eA==.00",
        "é.é",
        f"{value}.{signed_at}",
        f"{value}.{signed_at}.{signature[::-1]}",
        f"{value}.zzzzzz.{signature}",
    ):
        locked.set_cookie("pass", forged.encode("ascii", "replace").decode())
        assert locked.client.get("/", headers=BROWSER).status_code == 303


def test_a_pass_expires_also_where_the_browser_keeps_its_cookie(locked):
    log_in(locked)
    kept = locked.cookie("pass")
    for age_s, status in ((AUTH_LIFETIME_S - 60, 200), (AUTH_LIFETIME_S + 60, 303)):
        with time_machine.travel(time.time() + age_s):
            locked.set_cookie("pass", kept)
            assert locked.client.get("/", headers=BROWSER).status_code == status


def test_a_pass_outlives_the_process_but_not_the_token(locked, app):
    log_in(locked)
    kept = locked.cookie("pass")
    for token, status in ((TOKEN, 200), ("another-token-of-this-test", 303)):
        restarted = DashboardClient(app.namespace, token=token)
        restarted.set_cookie("pass", kept)
        assert restarted.client.get("/", headers=BROWSER).status_code == status


def test_a_message_that_another_process_has_signed_is_not_shown(visitor, app):
    visitor.set_cookie("said", Signer().encode("said", "all is lost"))
    assert "all is lost" not in visitor.look("/")
    visitor.set_cookie("said", visitor.application.state.dashboard.signer.encode("form", "all is lost"))
    assert "all is lost" not in visitor.look("/")
    visitor.set_cookie("said", visitor.application.state.dashboard.signer.encode("said", "all is well"))
    assert "all is well" in visitor.look("/")


def test_programs_bring_the_token_in_a_header(locked):
    assert locked.client.get("/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    for headers in ({"authorization": "Bearer other"}, {"authorization": "Bearer other", **BROWSER}, {}):
        answer = locked.client.get("/", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")


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


@pytest.mark.parametrize(
    "host", ["x/static/", "x/login?", "x/login#", "localhost/login", "a@localhost", "localhost:80:80"]
)
def test_a_host_that_is_none_opens_nothing(locked, app, host):
    token = locked.csrf_token()
    for path in ("/", "/jobs", "/dead", "/login", "/static/dashboard.css"):
        answer = locked.client.get(path, headers={"host": host})
        assert answer.status_code == 400, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    answer = locked.client.post("/actions/pause-queue", data={"target": "mail", "csrf": token}, headers={"host": host})
    assert answer.status_code == 400
    assert app.queues.list() == []


@pytest.mark.parametrize("path", ["/static/../jobs", "/static//jobs", "/login/", "//login", "/LOGIN", "/static"])
def test_paths_that_look_like_open_ones_are_not_open(locked, path):
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"accept", b"text/html")], "scheme": "http", "server": ("localhost", 80), "client": ("::1", 1),
    }  # fmt: skip
    started = []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        started.append(message)

    asyncio.run(locked.application(scope, receive, send))
    assert started[0]["status"] in {303, 404}
    body = b"".join(each.get("body", b"") for each in started)
    assert b"namespace" not in body


def test_without_a_token_a_rebound_name_is_refused_wherever_it_listens(app):
    settings = build_settings("0.0.0.0", read_only=False, by="ana", token="", names=(), without_token=True)
    client = DashboardClient(app.namespace, **settings._asdict() | {"by": "ana"}).client
    assert client.get("/", headers={"host": "rebound.example"}).status_code == 400
    assert client.get("/", headers={"host": "10.0.0.7:8787"}).status_code == 200


def test_who_guesses_the_token_is_slowed_down_and_named_in_the_log(locked, caplog):
    data = {"csrf": locked.csrf_token(), "token": "guessed"}
    statuses = [locked.client.post("/login", data=data, headers={"origin": AT}).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    answer = locked.client.post("/login", data=data | {"token": TOKEN}, headers={"origin": AT})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "wrong token for the dashboard from testclient, 3 in a row" in caplog.text
    assert "guessed" not in caplog.text
    answer = locked.client.get("/", headers={"authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_a_session_changes_at_the_log_in_and_at_the_log_out(locked):
    locked.look("/login")
    before = locked.cookie("session")
    log_in(locked)
    inside = locked.cookie("session")
    assert before != inside
    page = locked.look("/")
    assert 'action="/logout"' in page
    answer = locked.client.post(
        "/logout", data={"csrf": locked.application.state.dashboard.signer.sign("form", inside)}, headers={"origin": AT}
    )
    assert answer.status_code == 303
    assert locked.cookie("session") not in {before, inside}
    assert locked.client.get("/", headers=BROWSER).status_code == 303


def test_a_visitor_comes_to_where_he_wanted_to_go(locked):
    asked = locked.client.get("/runs?queue=slow", headers=BROWSER).headers["location"]
    page = locked.look(asked)
    assert 'name="next" value="/runs?queue=slow"' in page
    for wanted, place in (
        ("/runs?queue=slow", "/runs?queue=slow"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
    ):
        data = {"csrf": locked.csrf_token(), "token": TOKEN, "next": wanted}
        assert locked.client.post("/login", data=data, headers={"origin": AT}).headers["location"] == place


@pytest.mark.parametrize("token", ["", TOKEN])
def test_a_form_of_one_dashboard_is_good_for_another_of_the_namespace(app, token):
    one, other = DashboardClient(app.namespace, token=token), DashboardClient(app.namespace, token=token)
    if token:
        log_in(one)
    one.look("/queues")
    mark = one.application.state.dashboard.signer.sign("form", one.cookie("session"))
    other.client.cookies = one.client.cookies
    assert other.send("pause-queue", "mail", csrf=mark).status_code == 303


def test_cookies_of_two_dashboards_on_one_host_leave_one_another_alone():
    names = {name_cookies("shop", "", "8787", secure=False), name_cookies("shop", "", "8788", secure=False)}
    names |= {name_cookies("mail", "", "8787", secure=False), name_cookies("shop", "/x", "8787", secure=False)}
    assert len({each for one in names for each in (one.session, one.auth, one.flash)}) == 12


def test_behind_tls_cookies_are_secure_and_of_this_host_alone(app):
    visitor = DashboardClient(app.namespace, token=TOKEN)
    visitor.client.base_url = AT.replace("http:", "https:")
    set_cookie = visitor.client.get("/login").headers["set-cookie"]
    assert set_cookie.startswith("__Host-jobistemer_8787_")
    assert "; Secure" in set_cookie
    assert "; Path=/;" in set_cookie
    assert "Domain" not in set_cookie


def test_files_are_kept_for_long_by_the_mark_of_their_content_and_bring_no_cookie(visitor):
    page = visitor.look("/")
    for path in set(re.findall(r'"(/static/[^"]+)"', page)):
        visitor.client.cookies.clear()
        answer = visitor.client.get(path)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", path
        assert "set-cookie" not in answer.headers


def test_pages_are_compressed(visitor, ids):
    answer = visitor.client.get("/jobs", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 2


def test_a_server_that_hangs_is_told_at_the_deadline_and_holds_few_threads(visitor, monkeypatch):
    monkeypatch.setattr("jobistemer.web.shared.deadline.DEADLINE_S", 0.01)
    monkeypatch.setattr("jobistemer.web.shared.deadline.MAX_THREADS", 2)
    answers = threading.Event()
    monkeypatch.setattr("jobistemer.store.reads.queues.list_queues", lambda _: answers.wait(60) and [])
    assert "the server has not answered for" in visitor.look("/queues", 503)
    # On a busy machine a page may be given up before its thread begins: it holds none then.
    wait_until(lambda: "2 pages wait for the server" in visitor.look("/queues", 503), "two pages hold both threads")
    answers.set()
    monkeypatch.setattr("jobistemer.web.shared.deadline.DEADLINE_S", 60)
    wait_until(lambda: visitor.client.get("/queues").status_code == 200, "the threads are free again")


def test_a_kept_connection_is_answered_without_a_delay():
    listener = _listen("127.0.0.1", 0)

    async def accepted():
        options = asyncio.get_running_loop().create_future()

        def accept(_, writer):
            options.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            # Python 3.12 waits for all connections when a server is closed.
            writer.close()

        server = await asyncio.start_server(accept, sock=listener)
        async with server:
            _, writer = await asyncio.open_connection(*listener.getsockname())
            found = await options
            writer.close()
            return found

    assert asyncio.run(accepted()) != 0
