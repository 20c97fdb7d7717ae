"""The pure core: functions from values to values. Nothing here knows Redis, a clock or a thread."""
