"""A server that was emptied or restored: every process sees it with its next beat, and none splits the namespace."""

from __future__ import annotations

import logging

import pytest

from jobistemer.core.errors import ServerRefused
from jobistemer.core.settings import TickerSettings
from jobistemer.store.continuity import Continuity
from jobistemer.store.keys import settings_key
from jobistemer.store.namespace import Namespace, confirm_shards
from jobistemer.store.reads.doctor import diagnose
from jobistemer.ticker import Ticker
from jobistemer.ticker.shard_ticker import ShardTicker
from tests.support.servers import is_clustered


@pytest.fixture(autouse=True)
def _one_server(server_url):
    if is_clustered(server_url):
        pytest.skip("it empties the one server that it knows")


NAME = "emptied"


def opened(url: str, shards: int | None = None) -> Namespace:
    return Namespace(url, NAME, shards)


def observing(url: str) -> Namespace:
    found = Namespace(url, NAME)
    found.fixes_shards = False
    return found


@pytest.fixture
def ticking(server_url, database):
    """A ticker of one shard of eight that has beaten once, its namespace, and what it knows of the server."""
    database.client.flushdb()
    namespace = opened(server_url, 8)
    continuity = Continuity(namespace)
    ticker = ShardTicker(namespace.shards[0], TickerSettings(), "t1", continuity=continuity)
    ticker.poll(full=True)
    yield ticker, namespace, continuity
    namespace.close()


def test_who_only_observes_fixes_no_number_and_sees_the_one_of_the_next_deploy(server_url, database):
    database.client.flushdb()
    observer = observing(server_url)
    assert len(observer.shards) == 1
    assert not database.client.exists(settings_key(NAME))
    with pytest.raises(ServerRefused, match="waits for the first deploy"):
        Ticker(observer, TickerSettings())._connect()
    assert len(opened(server_url, 8).shards) == 8
    assert len(observer.shards) == 8


def test_a_process_sees_with_its_next_beat_that_the_server_was_emptied_and_says_so_once(ticking, database, caplog):
    ticker, namespace, continuity = ticking
    database.client.flushdb()
    with caplog.at_level(logging.ERROR):
        ticker.poll(full=True)
        ticker.poll(full=True)
    (line,) = [each.getMessage() for each in caplog.records]
    assert "was emptied" in line
    # The number that was asked for by name is stored again.
    assert confirm_shards(namespace) == 8
    ticker.poll(full=True)
    assert continuity.explain_doubt() == ""


def test_a_server_that_has_gone_back_is_seen_by_the_beat_that_it_has_lost(ticking, database, caplog):
    ticker, namespace, _ = ticking
    keys = namespace.shards[0].keys
    database.client.zincrby(keys.tickers, -5_000, "t1")
    ticker.poll(full=True)
    assert "has gone back by" in caplog.text


def test_without_a_deploy_readiness_stays_red_and_doctor_has_a_fault(server_url, database):
    database.client.flushdb()
    opened(server_url, 8).shards  # noqa: B018 - fixes the number
    observer = observing(server_url)
    continuity = Continuity(observer)
    ticker = ShardTicker(observer.shards[0], TickerSettings(), "t1", continuity=continuity)
    ticker.poll(full=True)
    database.client.flushdb()
    ticker.poll(full=True)
    assert "nothing has been deployed since" in continuity.explain_doubt()
    newcomer = observing(server_url)
    assert "its server was emptied" in str(diagnose(newcomer, 100))
    opened(server_url, 8).shards  # noqa: B018
    ticker.poll(full=True)
    assert continuity.explain_doubt() == ""


def test_another_number_of_shards_than_the_process_knows_is_a_conflict_that_ends_it(server_url, database):
    database.client.flushdb()
    opened(server_url, 8).shards  # noqa: B018 - fixes the number
    observer = observing(server_url)
    continuity = Continuity(observer)
    ticker = ShardTicker(observer.shards[0], TickerSettings(), "t1", continuity=continuity)
    ticker.poll(full=True)
    database.client.flushdb()
    opened(server_url, 2).shards  # noqa: B018
    ticker.poll(full=True)
    assert "has 2 shards now, and had 8" in continuity.conflict
