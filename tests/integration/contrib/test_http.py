"""The task `http` against a real server on loopback, and the requests that it refuses."""

import ipaddress
import itertools
import json
import select
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobistemer import Context
from jobistemer.contrib import http, http_addresses
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


SECRETS = ("Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "Private-Token", "X-Vault-Token",
           "X-Amz-Security-Token", "X-Order")  # fmt: skip


def test_only_harmless_headers_follow_a_redirect_to_another_host(base):
    elsewhere = base.replace("127.0.0.1", "localhost")
    given = dict.fromkeys(SECRETS, "secret") | {"Accept": "text/plain", "Host": "first.example"}
    said = json.loads(ask(f"{base}/to/{elsewhere}/end", headers=given).body)["headers"]
    assert "secret" not in said.values()
    assert said["accept"] == "text/plain"
    assert said["host"] == elsewhere.removeprefix("http://")
    same = json.loads(ask(f"{base}/to//end", headers=given).body)["headers"]
    assert {same[name.lower()] for name in SECRETS} == {"secret"}


def answering(parts):
    """A server that sends these parts, a hundred a second, until the client hangs up. Returns its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connected, _ = listener.accept()
        with listener, connected:
            connected.recv(65536)
            with suppress(OSError):
                for part in parts:
                    connected.sendall(part)
                    if select.select([connected], [], [], 0.01)[0] and not connected.recv(65536):
                        return

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
    ],
    ids=["status", "headers", "last answer", "body"],
)
def test_a_server_that_sends_a_byte_now_and_then_is_cut_off_when_the_time_is_over(beginning):
    # As slow as the reader: it never waits for long, so that no time-out of a socket would ever be reached.
    def parts():
        yield beginning
        yield from itertools.repeat(b"x", 6000)

    with pytest.raises(TimeoutError, match="the time for the request is over"):
        ask(f"{answering(parts())}/", timeout_s=0.3)


def test_a_server_that_says_continue_for_ever_is_cut_off():
    def parts():
        yield from itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n", 6000)

    with pytest.raises(TimeoutError, match="the time for the request is over"):
        ask(f"{answering(parts())}/", timeout_s=0.3)


def test_a_handshake_that_does_not_end_is_cut_off():
    def parts():
        # A record of 16 KB, of which a byte comes now and then.
        yield b"\x16\x03\x03\x40\x00\x02"
        yield from itertools.repeat(b"x", 6000)

    with pytest.raises(TimeoutError, match="the time for the request is over"):
        ask(answering(parts()).replace("http:", "https:"), timeout_s=0.3)


def test_a_name_that_is_not_resolved_in_time_is_a_time_out(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(60))
    with pytest.raises(TimeoutError, match=r"the name slow\.example was not resolved in time"):
        ask("http://slow.example/", timeout_s=0.1)
    never.set()


@pytest.mark.parametrize("charset", ["bogus", "hex", "zip", "rot13", "mbcs", "idna", "undefined", "utf-8\x00", ""])
def test_a_charset_that_is_none_does_not_make_an_answer_a_failure(charset):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={charset}\r\nContent-Length: 4\r\n\r\n"
    assert ask(f"{answering([head.encode() + 'dé!'.encode()])}/", method="POST", body="once").body == "dé!"


def test_of_many_long_headers_the_first_are_kept():
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 6000) for number in range(90))
    url = answering([b"HTTP/1.1 200 OK\r\n", lines, b"Content-Length: 0\r\n\r\n"])
    headers = ask(url).headers
    assert list(headers) == ["x-0", "x-1"]


def test_tokens_of_an_address_are_not_in_what_is_kept(base):
    assert ask(f"{base}/a?token=hunter2&b=c").url == f"{base}/a?token=***&b=c"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254",
                                  "0.0.0.0", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "2130706433", "127.1"])  # fmt: skip
def test_addresses_that_are_not_public_are_refused_before_anything_is_sent(host):
    with pytest.raises(Fail, match="is no public address; a worker started with --allow-http-private may reach it"):
        ask(f"http://{host}:9/", Permissions())


def test_a_redirect_to_a_private_address_is_refused_too(base, monkeypatch):
    # The first look is let through, as if it were a public host; the address of the redirect is then looked at.
    looks = iter([True, False])
    monkeypatch.setattr(http_addresses, "is_public", lambda address: next(looks))
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
        ("http://a..example/", {}, "host 'a..example' is no name: "),
        (f"http://{'a' * 64}.example/", {}, "is no name: "),
        (f"http://{'a.' * 200}example/", {}, "is no name: it is longer than 253 characters"),
        ("http://xn--\u00fc.example/", {}, "is no name: "),
        ("http://example.org/", {"body": "a\ud800"}, "body has a character that is no text at position 1"),
        ("http://example.org/", {"timeout_s": 0.0}, "timeout_s is 0.0, it must be above 0"),
        ("http://example.org/", {"timeout_s": float("nan")}, "timeout_s is nan, it must be above 0"),
        ("http://example.org/", {"timeout_s": 1e9}, "it must be above 0 and up to 86400 seconds"),
        ("http://example.org/", {"body": "a", "json": 1}, "body and json are both given; give one of them"),
    ],
)
def test_requests_that_cannot_be_are_refused_by_name(url, options, message):
    with pytest.raises(Fail) as caught:
        ask(url, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("path", ["/a b", "/a\u00fc", "/a\x7f"])
def test_a_path_that_cannot_be_sent_fails_for_good(base, path):
    with pytest.raises(Fail, match="cannot be made"):
        ask(f"{base}{path}")


def test_a_redirect_that_leads_nowhere_is_refused_by_name(base):
    with pytest.raises(Fail, match="redirects to"):
        ask(f"{base}/to/http://[nowhere")


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
        ("168.63.129.16", False),
        ("::ffff:168.63.129.16", False),
        ("64:ff9b::a83f:8110", False),
        ("192.0.0.192", False),
        ("192.0.0.9", False),
        ("192.88.99.1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("2001:db8::1", False),
        ("2001:20::1", False),
        ("100.100.100.200", False),
        ("fd00:ec2::254", False),
        ("1.1.1.1", True),
        ("223.255.255.254", True),
    ],
)
def test_what_is_public(address, public):
    assert http_addresses.is_public(ipaddress.ip_address(address)) is public
