"""What an attempt says about itself: bounded in bytes and lines, the newest kept, gaps known by number."""

from __future__ import annotations

import threading

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.core.handlers.attempt_log import MAX_LINES, Progress, decode_line, decode_progress
from jobistemer.core.runs.message import Delivery
from jobistemer.core.settings import WorkerSettings
from jobistemer.core.sizes import DEFAULT_LOG_BYTES
from jobistemer.store.keys import Keys
from jobistemer.worker.attempts.log_buffer import LogBuffer
from tests.support.lifecycle import message

KEYS, DELIVERY = Keys("test", 0), Delivery(b"s", b"1-0", message(), 0, 0)


def sent(buffer):
    """The lines, how many of them are kept, and the progress, as the calls carry them."""
    calls = buffer.calls(KEYS, DELIVERY, 1000)
    lines = [decode_line(line) for call in calls for line in call.args[5:]]
    return lines, calls[-1].args[3], calls[-1].args[1]


def size(lines, progress):
    from jobistemer.core.handlers.attempt_log import encode_line

    return sum(len(encode_line(line)) for line in lines) + len(progress)


@pytest.mark.parametrize("limit", [4_096, DEFAULT_LOG_BYTES])
def test_lines_and_progress_together_keep_within_their_bytes_and_the_oldest_lines_go(limit):
    buffer = LogBuffer(limit)
    for number in range(2000):
        buffer.add(0, "info", f"line {number} " + "x" * 100)
    before, _, _ = sent(buffer)
    buffer.set_progress(Progress(1, 2, "y" * 5_000_000))
    after, kept, progress = sent(buffer)

    assert 0.8 * limit < size(before, b"") <= limit
    assert 0.8 * limit < size(after, progress) <= limit
    assert after == before[-len(after) :]
    assert (kept, after[-1].n, len(after) < len(before)) == (len(after), 1999, True)
    assert decode_progress(progress).note.endswith("(5000000 characters)")


def test_no_more_lines_are_kept_than_a_reader_reads():
    buffer = LogBuffer(16 * 1024**2)
    for number in range(MAX_LINES + 10):
        buffer.add(0, "info", str(number))
    assert [line.n for line in sent(buffer)[0]] == list(range(10, MAX_LINES + 10))


def test_one_line_of_characters_that_are_escaped_leaves_room_for_others():
    buffer = LogBuffer(4_096)
    buffer.add(0, "info", "before")
    buffer.add(0, "info", "\0" * 10_000)
    lines, _, _ = sent(buffer)
    assert [line.n for line in lines] == [0, 1]
    assert lines[1].text.endswith("(10000 characters)")


def test_lines_that_were_sent_and_no_longer_fit_are_removed_with_the_next_call():
    buffer = LogBuffer(4_096)
    for _ in range(200):
        buffer.add(0, "info", "a line that was sent")
    _, kept, progress = sent(buffer)
    buffer.acknowledge(buffer.written, progress)

    buffer.set_progress(Progress(1, None, "n" * 256))
    lines, kept_now, _ = sent(buffer)
    assert lines == []
    assert kept_now < kept


def test_lines_that_are_logged_while_the_calls_are_built_do_not_shift_the_numbers_of_the_others():
    buffer = LogBuffer()
    for number in range(500):
        buffer.add(0, "info", str(number))
    buffer.acknowledge(400, b"")

    class LockThatIsTakenByTheHandler:
        """A lock whose release lets the handler log 450 lines before its holder goes on."""

        def __enter__(self):
            pass

        def __exit__(self, *_error):
            buffer._lock = threading.Lock()
            for number in range(500, 950):
                buffer.add(0, "info", str(number))

    buffer._lock = LockThatIsTakenByTheHandler()
    (call,) = buffer.calls(KEYS, DELIVERY, 1000)
    lines = [decode_line(line) for line in call.args[5:]]
    assert call.args[2] == 400
    assert [(line.n, line.text) for line in lines] == [(number, str(number)) for number in range(400, 500)]


@pytest.mark.parametrize("number", [4_095, 16 * 1024**2 + 1])
def test_a_bound_out_of_range_is_refused_with_its_value(number):
    with pytest.raises(Misconfigured, match=f"max_log_bytes is {number}"):
        WorkerSettings(max_log_bytes=number)
