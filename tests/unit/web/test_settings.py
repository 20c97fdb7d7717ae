"""The settings of a dashboard, and the ones that are refused."""

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.web.shared.settings import build_settings

TOKEN = "long-enough-a-token"


def made(host="127.0.0.1", *, token="", names=(), without_token=False, **others):
    return build_settings(host, read_only=False, by="", token=token, names=names, without_token=without_token, **others)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_no_token_is_needed(host):
    assert made(host).token == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "web-1.example"])
def test_what_others_can_reach_needs_a_token_or_a_word(host):
    with pytest.raises(Misconfigured, match="JOBISTEMER_DASHBOARD_TOKEN"):
        made(host)
    assert made(host, token=TOKEN).token == TOKEN
    assert made(host, without_token=True).token == ""


@pytest.mark.parametrize(("host", "known"), [("0.0.0.0", set()), ("::", set()), ("web-1.example", {"web-1.example"})])
def test_names_are_checked_wherever_it_listens(host, known):
    assert made(host, token=TOKEN).hosts == known
    assert made(host, without_token=True).hosts == known


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(Misconfigured, match="has 5 characters, 16 is the least"):
        made(token="short")


def test_a_token_of_the_environment_that_is_no_utf_8_is_refused_and_not_shown():
    with pytest.raises(Misconfigured, match="is no text in UTF-8") as refused:
        made(token="\udce4" + 20 * "a")
    assert "aaaa" not in str(refused.value)


def test_a_proxys_name_is_answered_to_beside_the_own_ones():
    assert made(names=("Jobs.Example",)).hosts == {"jobs.example"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"names": ("http://jobs.example",)}, "host name is 'http://jobs.example'"),
        ({"names": ("jobs.example:80",)}, "host name is 'jobs.example:80'"),
        ({"user_header": "X User"}, "user header is 'X User'"),
        ({"root_path": "admin"}, "root path is 'admin'"),
        ({"root_path": "/a//b"}, "root path is '/a//b'"),
        ({"root_path": "//evil.example"}, "root path is '//evil.example'"),
    ],
)
def test_what_cannot_be_a_name_a_header_or_a_path_is_refused_by_name(wrong, named):
    with pytest.raises(Misconfigured, match=named):
        made(**wrong)


def test_a_root_path_may_end_with_a_slash():
    assert made(root_path="/admin/jobs/").root_path == "/admin/jobs"
