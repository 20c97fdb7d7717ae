import msgspec
import pytest

from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.runs.message import Message, TaskRef, compose_message, decode_message, encode_message

SLOT = TaskRef("occ_1", "job_1", 2, 1_800_000_060, "load")
PLAIN = Message("run_1", "greet", 1_800_000_000_000)


@pytest.mark.parametrize(
    "message",
    [
        PLAIN,
        Message("run_1", "greet", 0, payload=msgspec.Raw(b'{"to":"a@b"}'), queue="mail", priority=9, unique="k"),
        Message("run_1", "greet", 0, timeout_ms=0, retry=NO_RETRIES, retention_ms=1000, metadata={"trace": "1"}),
        Message("run_1", "greet", 0, retry=Delays((1.5, 2)), slot=SLOT),
        Message("run_1", "greet", 0, retry=Exponential(max_retries=9)),
    ],
)
def test_a_message_comes_out_as_it_went_in(message):
    assert decode_message(encode_message(message)) == message


def test_defaults_stay_off_the_wire():
    said = dict(
        payload=msgspec.Raw(b"{}"), queue="default", priority=5, timeout_ms=3_600_000, retry=Exponential(),
        retention_ms=86_400_000, slot=None, unique="", metadata={},
    )  # fmt: skip
    assert encode_message(compose_message("run_1", "greet", 7, **said)) == b'{"run":"run_1","handler":"greet","enqueued_at":7}'


def test_what_differs_from_the_defaults_is_carried():
    composed = compose_message("run_1", "greet", 7, queue="mail", priority=5, slot=SLOT)
    assert composed == Message("run_1", "greet", 7, queue="mail", slot=SLOT)
    assert msgspec.json.decode(encode_message(composed)) == {
        "run": "run_1",
        "handler": "greet",
        "enqueued_at": 7,
        "queue": "mail",
        "slot": {"occurrence": "occ_1", "job": "job_1", "v": 2, "at": 1_800_000_060, "task": "load"},
    }


def test_a_field_of_a_later_version_is_no_obstacle():
    later = msgspec.json.encode({**msgspec.json.decode(encode_message(PLAIN)), "colour": "blue"})
    assert decode_message(later) == PLAIN


@pytest.mark.parametrize("broken", [b"", b"{}", b"not json", b'{"run":"r","handler":"h","enqueued_at":"soon"}', b"\xff"])
def test_what_is_no_message_is_refused(broken):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_message(broken)
