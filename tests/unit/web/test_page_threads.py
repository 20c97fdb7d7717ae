"""Threads for pages: each is given back, however its page ends."""

from __future__ import annotations

from threading import Event

import anyio
import anyio.to_thread
import pytest

from jobistemer.core.errors import NotConnected
from jobistemer.web.shared import deadline
from jobistemer.web.shared.deadline import PageThreads


def test_a_page_that_is_given_up_before_its_thread_begins_holds_no_place(monkeypatch):
    monkeypatch.setattr(deadline, "MAX_THREADS", 1)
    threads, others_end = PageThreads(), Event()

    async def story():
        # Given an application around the dashboard whose own work has all threads
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, others_end.wait)
            await anyio.lowlevel.checkpoint()
            # When a page comes to its deadline before a thread is free
            monkeypatch.setattr(deadline, "DEADLINE_S", 0.01)
            with pytest.raises(NotConnected, match="has not answered"):
                await threads.run(str, "page")
            others_end.set()
        # Then the next one has the whole room
        monkeypatch.setattr(deadline, "DEADLINE_S", 60)
        return await threads.run(str, "page")

    assert anyio.run(story) == "page"


def test_a_page_that_fails_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(deadline, "MAX_THREADS", 1)
    threads = PageThreads()

    async def story():
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda _: 1 // 0, None)
        return await threads.run(str, "page")

    assert anyio.run(story) == "page"
