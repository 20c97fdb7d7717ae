"""The endpoint answers with the pages that it was given, at an address or a socket, and with nothing else."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.http_endpoint import MAX_AT_ONCE, fetch_page, serve, serve_at_socket
from jobistemer.runtime.http_pages import Response, health_response
from tests.support.worker_processes import wait_until


def fails():
    raise ValueError("secret of the page")


PAGES = {
    "/livez": lambda: health_response([]),
    "/readyz": lambda: health_response(["it is quiet", "it ends"]),
    "/fails": fails,
}


@pytest.fixture(scope="module")
def port() -> int:
    return int(serve(PAGES, "127.0.0.1", 0).rpartition(":")[2])


def asked(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path)
    found = connection.getresponse()
    text = found.read().decode()
    connection.close()
    return found.status, text


def test_without_a_reason_against_it_the_answer_is_200_and_with_one_503_and_the_reasons(port):
    assert asked(port, "/livez") == (200, "ok\n")
    assert asked(port, "/livez?verbose=1") == (200, "ok\n")
    assert asked(port, "/readyz") == (503, "it is quiet\nit ends\n")
    assert asked(port, "/readyz", "HEAD") == (503, "")


def test_other_pages_and_methods_are_refused(port):
    assert asked(port, "/etc/passwd") == (404, "there is no such page; there are /livez, /readyz, /fails\n")
    assert asked(port, "/livez", "POST")[0] == 501


def test_a_page_that_fails_shows_nothing_of_its_error(port, caplog):
    assert asked(port, "/fails") == (500, "ValueError, see the log\n")
    assert "secret of the page" in caplog.text


def test_a_client_that_sends_nothing_keeps_no_other_from_an_answer(port):
    with socket.create_connection(("127.0.0.1", port)) as silent:
        silent.sendall(b"GET /liv")
        assert asked(port, "/livez") == (200, "ok\n")


def test_when_all_places_are_taken_the_client_that_has_one_longest_gives_way():
    port = int(serve(PAGES, "127.0.0.1", 0).rpartition(":")[2])
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(MAX_AT_ONCE)]
        for each in slow:
            each.sendall(b"GET /liv")
        assert asked(port, "/livez") == (200, "ok\n")
        assert slow[0].recv(100) == b""


def test_sixty_clients_that_send_a_byte_a_second_keep_no_probe_from_its_answer():
    port = int(serve(PAGES, "127.0.0.1", 0).rpartition(":")[2])
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(60)]
        for _ in range(20):
            for each in slow:
                with suppress(OSError):
                    each.sendall(b"G")
            assert asked(port, "/livez") == (200, "ok\n")


def test_a_request_has_one_deadline_however_often_a_byte_comes(port, monkeypatch):
    monkeypatch.setattr("jobistemer.runtime.http_endpoint.TIMEOUT_S", 0.2)
    with socket.create_connection(("127.0.0.1", port)) as slow:
        # Paced by the wait for an answer; ends when the server hangs up.
        while not select.select([slow], [], [], 0.02)[0]:
            with suppress(OSError):
                slow.sendall(b"G")


def test_when_every_place_is_being_answered_the_next_client_is_turned_away(monkeypatch):
    monkeypatch.setattr("jobistemer.runtime.http_endpoint.DROP_S", 0.05)
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def page():
        begun.release()
        go_on.wait(60)
        return health_response([])

    port = int(serve({"/slow": page, **PAGES}, "127.0.0.1", 0).rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(MAX_AT_ONCE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"GET /slow HTTP/1.0\r\n\r\n")
            begun.acquire()
        late = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert late.recv(100) == b""
        go_on.set()
    wait_until(lambda: answered(port), "there is room again")


def answered(port: int) -> bool:
    try:
        return asked(port, "/livez") == (200, "ok\n")
    except (OSError, http.client.HTTPException):
        return False


def test_a_port_that_is_taken_is_refused_by_name(port):
    with pytest.raises(Misconfigured, match=rf"health endpoint: 127\.0\.0\.1 port {port} cannot be used: .*in use"):
        serve(PAGES, "127.0.0.1", port)
    with pytest.raises(Misconfigured, match="health endpoint: 256.0.0.1 port 0 cannot be used"):
        serve(PAGES, "256.0.0.1", 0)


def test_a_socket_answers_like_an_address_and_the_last_server_has_it(tmp_path):
    path = tmp_path / "1"
    with pytest.raises(FileNotFoundError):
        fetch_page(path, "/livez")
    serve_at_socket({"/livez": lambda: health_response(["the one before"])}, path)
    assert fetch_page(path, "/livez") == Response(503, b"the one before\n")
    serve_at_socket(PAGES, path)
    assert fetch_page(path, "/livez") == Response(200, b"ok\n")


def test_it_answers_at_addresses_of_ipv6_too():
    if not socket.has_ipv6:
        pytest.fail("this machine has no IPv6 at all, not even loopback")
    url = serve(PAGES, "::1", 0)
    assert url.startswith("http://[::1]:")
    with socket.create_connection(("::1", int(url.rpartition(":")[2]))) as found:
        found.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert found.recv(100).startswith(b"HTTP/1.0 200 OK")
