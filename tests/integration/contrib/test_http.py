"""The task `http` against a real server on loopback, and the requests that it refuses."""

import ipaddress
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobistemer import Context
from jobistemer.contrib import http
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.handlers.control_errors import Fail
from jobistemer.core.handlers.local_tools import LocalTools

PRIVATE = Permissions(http_private=True)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        said = {"method": self.command, "path": self.path, "body": self.rfile.read(length).decode()}
        said["headers"] = {name.lower(): value for name, value in self.headers.items()}
        if self.path.startswith("/to/"):
            self.send_response(int(self.headers.get("X-Status", "302")))
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(500 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(b"x" * 200_000 if self.path == "/large" else json.dumps(said).encode())

    do_POST = do_PUT = do_GET

    def log_message(self, *_): ...


@pytest.fixture(scope="module")
def base():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def context(permissions):
    from datetime import UTC, datetime

    from tests.support.clocks import NOW

    tools = LocalTools()
    tools.permissions = permissions
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    return Context(
        run="run_1", attempt=0, attempt_id="", handler="http", due_at=at, started_at=at, fencing_token=1, tools=tools
    )


def ask(url, permissions=PRIVATE, **options):
    return http.request(context(permissions), url, **options)


def test_a_request_carries_method_headers_and_json(base):
    result = ask(f"{base}/a?b=c", method="POST", headers={"X-Order": "7"}, json={"order": 7})
    said = json.loads(result.body)
    assert (result.status, said["method"], said["path"], said["body"]) == (200, "POST", "/a?b=c", '{"order":7}')
    assert said["headers"]["x-order"] == "7"
    assert said["headers"]["content-type"] == "application/json"
    assert said["headers"]["host"] == base.removeprefix("http://")


def test_a_status_that_was_not_expected_is_a_failure_that_may_be_retried(base):
    with pytest.raises(http.UnexpectedStatus, match=r"GET .*/broken answered 500"):
        ask(f"{base}/broken")
    assert ask(f"{base}/broken", expect=[500]).status == 500
    with pytest.raises(http.UnexpectedStatus, match="answered 200"):
        ask(f"{base}/", expect=[204])


def test_of_a_large_body_the_beginning_is_kept(base):
    assert len(ask(f"{base}/large").body) == http.MAX_BODY


def test_redirects_are_followed_and_bounded(base):
    assert json.loads(ask(f"{base}/to//to//end").body)["path"] == "/end"
    with pytest.raises(Fail, match="more than 5 redirects"):
        ask(f"{base}/to/" + "/to/" * 6 + "/end")


@pytest.mark.parametrize(("status", "method"), [("303", "GET"), ("302", "GET"), ("307", "POST"), ("308", "POST")])
def test_a_redirect_keeps_or_changes_the_method_as_its_status_says(base, status, method):
    said = json.loads(ask(f"{base}/to//end", method="POST", body="x", headers={"X-Status": status}).body)
    assert (said["method"], said["body"]) == (method, "x" if method == "POST" else "")


def test_secrets_do_not_follow_a_redirect_to_another_host(base):
    elsewhere = base.replace("127.0.0.1", "localhost")
    given = {"Authorization": "secret", "Cookie": "secret", "X-Order": "7"}
    said = json.loads(ask(f"{base}/to/{elsewhere}/end", headers=given).body)["headers"]
    assert "secret" not in said.values()
    assert said["x-order"] == "7"
    assert json.loads(ask(f"{base}/to//end", headers=given).body)["headers"]["authorization"] == "secret"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254",
                                  "0.0.0.0", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "2130706433", "127.1"])  # fmt: skip
def test_addresses_that_are_not_public_are_refused_before_anything_is_sent(host):
    with pytest.raises(Fail, match="is no public address; a worker started with --allow-http-private may reach it"):
        ask(f"http://{host}:9/", Permissions())


def test_a_redirect_to_a_private_address_is_refused_too(base, monkeypatch):
    # The first look is let through, as if it were a public host; the address of the redirect is then looked at.
    looks = iter([True, False])
    monkeypatch.setattr(http, "is_public", lambda address: next(looks))
    with pytest.raises(Fail, match=r"127.0.0.1 is 127.0.0.1, which is no public address"):
        ask(f"{base}/to//end", Permissions())


@pytest.mark.parametrize("host", ["::127.0.0.1", "64:ff9b:1::7f00:1"])
def test_an_address_of_ipv6_that_leads_to_a_private_one_of_ipv4_is_refused(host):
    with pytest.raises(Fail) as refused:
        ask(f"http://[{host}]/", Permissions())
    assert str(refused.value) == (
        f"http: {host} is {host}, which is no public address; a worker started with --allow-http-private may reach it"
    )


def test_what_was_looked_at_is_what_is_connected_to(base, monkeypatch):
    # A name that resolves to one address when it is looked at, and would to another one afterwards.
    port = int(base.rpartition(":")[2])
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]])
    resolve = socket.getaddrinfo

    def rebinding(host, *rest, **options):
        return next(answers) if host == "rebind.example" else resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    said = json.loads(ask(f"http://rebind.example:{port}/").body)
    assert said["headers"]["host"] == f"rebind.example:{port}"


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("ftp://example.org/", {}, "it must begin with http:// or https:// and a host"),
        ("file:///etc/passwd", {}, "it must begin with http:// or https:// and a host"),
        ("http://", {}, "it must begin with http:// or https:// and a host"),
        ("http://a:b@example.org/", {}, "url 'http://example.org/' has a user or password"),
        ("http://example.org:99999/", {}, "cannot be read: Port out of range 0-65535"),
        ("http://example.org/", {"method": "get"}, "method is 'get', allowed are GET, HEAD, POST"),
        ("http://example.org/", {"body": "a", "json": 1}, "body and json are both given; give one of them"),
    ],
)
def test_requests_that_cannot_be_are_refused_by_name(url, options, message):
    with pytest.raises(Fail) as caught:
        ask(url, **options)
    assert message in str(caught.value)


def test_a_header_cannot_smuggle_in_another_one(base):
    with pytest.raises(Fail, match="cannot be made: Invalid header value"):
        ask(f"{base}/", headers={"X": "a\r\nY: b"})


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("::8.8.8.8", False),
        ("64:ff9b:1::7f00:1", False),
        ("64:ff9b:1::808:808", False),
        ("fec0::1", False),
        ("2606:4700::1111", True),
        ("ff02::1", False),
    ],
)
def test_what_is_public(address, public):
    assert http.is_public(ipaddress.ip_address(address)) is public
