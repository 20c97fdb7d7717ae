"""Listening to the channel that wakes tickers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobistemer.store.database import Database

_END = "end of the test"


@contextmanager
def collect_wakeups(database: Database) -> Iterator[list[str]]:
    """Collects what is published on the wake channel; the list is complete when the context is over."""
    heard: list[str] = []
    channel = database.client.pubsub(ignore_subscribe_messages=True)
    channel.subscribe(database.keys.wake)
    while not channel.subscribed:
        channel.get_message(timeout=1)
    yield heard
    database.client.publish(database.keys.wake, _END)
    for each in channel.listen():
        text = each["data"].decode()
        if text == _END:
            break
        heard.append(text)
    channel.close()
