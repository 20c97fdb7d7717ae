"""Zones as spans: what they assume of the tz database holds for all of it."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from zoneinfo import _zoneinfo, available_timezones

import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron
from jobistemer.core.schedules.instants import DAY
from jobistemer.core.schedules.zones import LONGEST_JUMP, SAMPLE, zone_of

NAMES = sorted(name for name in available_timezones() if not name.startswith(("posix", "right", "localtime")))


@cache
def recorded_changes(name):
    """Give the changes of offset that the compiled database records, with the offsets on both sides."""
    return tuple(_recorded_changes(name))


def _recorded_changes(name):
    info = _zoneinfo.ZoneInfo.no_cache(name)
    before = info._tti_before.utcoff if info._tti_before else None
    for unix, kind in zip(info._trans_utc, info._ttinfos, strict=False):
        if before is not None and kind.utcoff != before:
            yield unix, before, kind.utcoff
        before = kind.utcoff


def test_no_zone_of_the_database_changes_twice_within_the_sampling_step():
    nearest = min(later - earlier for name in NAMES for (earlier, *_), (later, *_) in pairwise(recorded_changes(name)))
    assert nearest > SAMPLE


def test_no_clock_of_the_database_jumps_further_than_is_looked_back():
    longest = max(
        abs((after - before).total_seconds()) for name in NAMES for _, before, after in recorded_changes(name)
    )
    assert longest + SAMPLE <= LONGEST_JUMP


@pytest.mark.parametrize("name", ["Europe/Berlin", "Pacific/Apia", "Africa/Monrovia", "America/Juneau", "Asia/Gaza"])
def test_the_changes_that_are_found_are_those_that_the_database_records(name):
    recorded = [unix for unix, *_ in recorded_changes(name)]
    first, last = recorded[0] - DAY, recorded[-1] + DAY
    assert list(zone_of(name).changes(first, last)) == recorded


@pytest.mark.parametrize("name", ["Europe/Berlin", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_spans_follow_one_another_without_a_gap_and_know_their_offset(name):
    zone = zone_of(name)
    spans = list(zone.spans(0, 60 * 366 * DAY))
    assert all(earlier.end == later.start for earlier, later in pairwise(spans))
    for span in spans:
        assert zone.offset_at(span.start) == span.offset == zone.offset_at(span.end - 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Berlin", "did you mean 'Europe/Berlin'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("new york", "did you mean 'America/New_York'"),
        ("Mars/Olympus", "unknown to the tz database"),
        ("Europe", "unknown to the tz database"),
        ("", "is not a name of the tz database"),
        ("/etc/localtime", "is not a name of the tz database"),
        ("../etc/passwd", "is not a name of the tz database"),
        ("localtime", "is not a name of the tz database"),
        ("right/Europe/Berlin", "is not a name of the tz database"),
        (None, "is not a name of the tz database"),
        (["UTC"], "is not a name of the tz database"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_likely_name(name, message):
    with pytest.raises(InvalidSchedule, match=message):
        Cron("0 0 * * *", timezone=name)
