"""The settings of a dashboard, and the ones that are refused."""

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.web.dashboard.settings import LOOPBACK, build_settings

TOKEN = "long-enough-a-token"


def made(host="127.0.0.1", *, token="", names=(), without_token=False):
    return build_settings(host, read_only=False, by="", token=token, names=names, without_token=without_token)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_no_token_is_needed(host):
    assert made(host).hosts >= LOOPBACK


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "web-1.example"])
def test_what_others_can_reach_needs_a_token_or_a_word(host):
    with pytest.raises(Misconfigured, match="JOBISTEMER_DASHBOARD_TOKEN"):
        made(host)
    assert made(host, token=TOKEN).hosts == frozenset()
    assert made(host, without_token=True).token == ""


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(Misconfigured, match="has 5 characters, 16 is the least"):
        made(token="short")


def test_a_proxys_name_is_answered_to_beside_the_own_ones():
    assert made(names=("Jobs.Example",)).hosts == LOOPBACK | {"127.0.0.1", "jobs.example"}
