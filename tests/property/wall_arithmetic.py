"""Date arithmetic written out, to hold intervals against: months, then days, on the wall clock; then seconds."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo


def plus(anchor, zone, months, days, seconds):
    if not months and not days:
        return anchor + timedelta(seconds=seconds)
    local = anchor.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    count = local.year * 12 + local.month - 1 + months
    year, month = count // 12, count % 12 + 1
    local = local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]))
    local += timedelta(days=days)
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) + timedelta(seconds=seconds)
