"""By which dates an interval counts its months."""

from datetime import UTC, datetime, time, timedelta
from datetime import timezone as fixed

import pytest

from jobistemer.core.schedules import Interval, describe


@pytest.mark.parametrize(
    ("text", "timezone", "days"),
    [
        ("R3/2027-01-31T01:30:00+02:00/P1M", "UTC", ["01-31", "02-28", "03-31"]),
        ("R3/P1M/2027-03-31T01:30:00+02:00", "UTC", ["01-31", "02-28", "03-31"]),
        # In UTC it begins on the 30th of January, a day before.
        ("R3/2027-01-31T01:30:00+02:00/P1M", "Etc/UTC", ["01-31", "03-01", "03-31"]),
        ("R3/2027-01-31T01:30:00+02:00/P1M", "Africa/Tripoli", ["01-31", "02-28", "03-31"]),
    ],
)
def test_months_count_in_the_zone_or_else_in_the_offset_that_the_interval_is_written_in(text, timezone, days):
    interval = Interval(text, timezone=timezone)
    first, two_hours = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()), fixed(timedelta(hours=2))
    found = [datetime.fromtimestamp(unix, two_hours) for unix in interval.unix_between(first, first + 120 * 86_400)]
    assert [f"{each:%m-%d}" for each in found] == days
    assert {each.time() for each in found} == {time(1, 30)}
    assert ("UTC+02:00" in describe(interval)) == (timezone == "UTC")
