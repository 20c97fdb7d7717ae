"""The Host header: what is a host, and which ones are known."""

import pytest

from jobistemer.web.security.hosts import Host, is_known_host, read_host
from jobistemer.web.security.middleware import route_path


def read(*values):
    return read_host([(b"accept", b"*/*"), *((b"Host", value.encode("latin-1")) for value in values)])


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("localhost", Host("localhost", "")),
        ("Jobs.Example:8787", Host("jobs.example", "8787")),
        ("[::1]:80", Host("[::1]", "80")),
        ("10.0.0.7", Host("10.0.0.7", "")),
        ("a_b.example", Host("a_b.example", "")),
    ],
)
def test_a_host_is_read_with_its_port(value, host):
    assert read(value) == host


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x/static/",
        "x/login?",
        "x/login#",
        "a@b",
        "a b",
        "x\\y",
        "x?y",
        "x#y",
        "-",
        "localhost:",
        "localhost:x",
        "localhost:123456",
        "é",
        "[x]",
        "a\n",
    ],
)
def test_what_is_no_host_is_none(value):
    assert read(value) is None


def test_no_header_or_two_of_them_are_none():
    assert read() is None
    assert read("localhost", "localhost") is None


@pytest.mark.parametrize("value", ["localhost", "127.0.0.1", "10.0.0.7", "[fd00::7]", "jobs.example"])
def test_localhost_addresses_and_own_names_are_known(value):
    assert is_known_host(read(value), frozenset({"jobs.example"}))


@pytest.mark.parametrize(
    "value", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433.example"]
)
def test_other_names_are_not(value):
    assert not is_known_host(read(value), frozenset({"jobs.example"}))


@pytest.mark.parametrize(
    ("path", "root", "within"),
    [
        ("/jobs", "", "/jobs"),
        ("/admin/jobs", "/admin", "/jobs"),
        ("/admin", "/admin", "/"),
        ("/administrator", "/admin", None),
        ("/x", "/admin", None),
    ],
)
def test_a_path_is_that_within_the_root(path, root, within):
    assert route_path(path, root) == within
