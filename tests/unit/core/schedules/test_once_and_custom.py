"""A single instant, and schedules that user code computes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import AnySchedule, Cron, Custom, Once, Schedule, register_schedule

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def naive(*parts):
    return datetime(*parts)


@pytest.mark.parametrize(
    ("at", "zone", "instant"),
    [
        (NEW_YEAR, None, "2026-01-01T00:00:00"),
        (NEW_YEAR.astimezone(timezone(timedelta(hours=5))), None, "2026-01-01T00:00:00"),
        (naive(2026, 1, 1), "Asia/Tokyo", "2025-12-31T15:00:00"),
        ("2026-01-01T00:00:00", "Asia/Tokyo", "2025-12-31T15:00:00"),
        ("2026-01-01T00:00:00+01:00", None, "2025-12-31T23:00:00"),
        # An explicit offset wins over the zone.
        ("2026-01-01T00:00:00+01:00", "Asia/Tokyo", "2025-12-31T23:00:00"),
        # A reading in a gap moves on by its length; the first pass of an overlap counts.
        (naive(2026, 3, 29, 2, 30), "Europe/Berlin", "2026-03-29T01:30:00"),
        (naive(2026, 10, 25, 2, 30), "Europe/Berlin", "2026-10-25T00:30:00"),
        (naive(2026, 10, 25, 2, 30).replace(fold=1), "Europe/Berlin", "2026-10-25T00:30:00"),
        (naive(2011, 12, 30, 9), "Pacific/Apia", "2011-12-30T19:00:00"),
    ],
)
def test_once_is_due_at_this_instant_and_no_other(at, zone, instant):
    due = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    schedule = Once(at, timezone=zone)
    assert schedule.at == due
    assert schedule.next_after(due - SECOND) == due
    assert schedule.next_after(due) is None
    assert schedule.previous_before(due) is None
    assert schedule.previous_before(due + SECOND) == due
    assert list(schedule.between(due - SECOND, due)) == [due]
    assert list(schedule.between(due, due + SECOND)) == []
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=AnySchedule) == schedule


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Once(naive(2026, 1, 1)), "has no offset and no time zone"),
        (lambda: Once("2026-01-01T00:00:00"), "has no offset and no time zone"),
        (lambda: Once(NEW_YEAR.replace(microsecond=1)), "has a fraction of a second"),
        (lambda: Once("2026-01-01T00:00:00.5Z"), "has a fraction of a second"),
        (lambda: Once("tomorrow"), "is not ISO 8601"),
        (lambda: Once("2026-02-30T00:00:00Z"), "does not exist"),
        (lambda: Once(5), "is neither a datetime nor ISO 8601 text"),
        (lambda: Once(NEW_YEAR, timezone="Mars/Base"), "unknown to the tz database"),
        (lambda: Once(NEW_YEAR, timezone=["UTC"]), "is not a name of the tz database"),
    ],
)
def test_once_refuses(make, message):
    with pytest.raises(InvalidSchedule, match=message):
        make()


class EveryHundredDays:
    """A schedule with the two questions only."""

    def __init__(self, options):
        self.first = datetime.fromisoformat(options.get("first", "2020-01-01T00:00:00+00:00"))

    def next_after(self, instant):
        if instant < self.first:
            return self.first
        return self.first + timedelta(days=((instant - self.first) // timedelta(days=100) + 1) * 100)

    def between(self, start, end):
        instant = self.next_after(start)
        while instant <= end:
            yield instant
            instant = self.next_after(instant)


def test_a_custom_schedule_answers_through_its_registered_name():
    register_schedule("hundred", EveryHundredDays)
    schedule = Custom("hundred", {"first": "2026-01-01T00:00:00+00:00"})
    assert isinstance(schedule, Schedule)
    assert schedule.next_after(NEW_YEAR) == NEW_YEAR + timedelta(days=100)
    assert list(schedule.between(NEW_YEAR - SECOND, NEW_YEAR + timedelta(days=150))) == [
        NEW_YEAR,
        NEW_YEAR + timedelta(days=100),
    ]
    assert schedule.previous_before(NEW_YEAR + timedelta(days=450)) == NEW_YEAR + timedelta(days=400)
    assert schedule.previous_before(NEW_YEAR) is None


def test_a_second_registration_replaces_the_first():
    register_schedule("replaced", EveryHundredDays)
    assert Custom("replaced").next_after(NEW_YEAR) is not None
    register_schedule("replaced", lambda _options: Cron("0 0 * * *"))
    assert Custom("replaced").next_after(NEW_YEAR) == NEW_YEAR + timedelta(days=1)


def test_a_custom_schedule_travels_by_name_and_options():
    schedule = Custom("hundred", {"b": [1, 2], "a": {"x": None}})
    again = msgspec.json.decode(msgspec.json.encode(schedule), type=AnySchedule)
    assert again == schedule
    assert hash(again) == hash(Custom("hundred", {"a": {"x": None}, "b": [1, 2]}))


def test_an_unknown_name_says_how_to_register_it():
    with pytest.raises(InvalidSchedule, match=r"call register_schedule\('unknown', factory\)"):
        Custom("unknown").next_after(NEW_YEAR)


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a b", "a" * 65, 5])
def test_a_bad_name_is_refused(name):
    with pytest.raises(InvalidSchedule, match="custom schedule name"):
        Custom(name)


def test_options_that_are_no_json_are_refused():
    with pytest.raises(InvalidSchedule, match="are no JSON"):
        Custom("hundred", {"f": print})


@pytest.mark.parametrize("step", [timedelta(0), -SECOND, SECOND / 2, SECOND * 1.5])
def test_an_answer_that_a_cursor_would_not_get_past_is_refused(step):
    class Stuck:
        def next_after(self, instant):
            return instant + step

        def between(self, start, _end):
            yield start + step

    register_schedule("stuck", lambda _options: Stuck())
    with pytest.raises(InvalidSchedule, match="'stuck' answered .* each later than the one before"):
        Custom("stuck").next_after(NEW_YEAR)
    with pytest.raises(InvalidSchedule, match="'stuck' answered .* each later than the one before"):
        list(Custom("stuck").between(NEW_YEAR, NEW_YEAR + timedelta(days=1)))


class Failing:
    def __init__(self, options):
        self.port = options["port"]

    def next_after(self, instant):
        raise ValueError(f"no tides for {self.port} at {instant:%H:%M}")

    def between(self, start, _end):
        yield start + SECOND
        raise ValueError(f"no tides for {self.port}")


def test_what_fails_in_the_code_of_a_custom_schedule_is_an_invalid_schedule():
    register_schedule("failing", Failing)
    with pytest.raises(InvalidSchedule, match="custom schedule 'failing' failed: KeyError: 'port'"):
        Custom("failing").next_after(NEW_YEAR)
    schedule = Custom("failing", {"port": "Husum"})
    with pytest.raises(InvalidSchedule, match="failed: ValueError: no tides for Husum at 00:00"):
        schedule.next_after(NEW_YEAR)
    instants = schedule.between(NEW_YEAR, NEW_YEAR + timedelta(days=1))
    assert next(instants) == NEW_YEAR + SECOND
    with pytest.raises(InvalidSchedule, match="failed: ValueError: no tides for Husum"):
        next(instants)
