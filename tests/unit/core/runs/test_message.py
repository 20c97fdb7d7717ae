import msgspec
import pytest

from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.planning.backfill import BackfillProgress
from jobistemer.core.runs.message import GroupMember, Message, TaskRef, compose_message, decode_message, encode_message
from jobistemer.store.calls.runs import new_run_id

LOAD = TaskRef("occ_1", "job_1", 2, 1_800_000_060, "load")
PLAIN = Message("run_1", "greet", 1_800_000_000_000)


@pytest.mark.parametrize(
    "message",
    [
        PLAIN,
        Message("run_1", "greet", 0, payload=msgspec.Raw(b'{"to":"a@b"}'), queue="mail", priority=9, unique="k"),
        Message("run_1", "greet", 0, timeout_ms=0, retry=NO_RETRIES, retention_ms=1000, metadata={"trace": "1"}),
        Message("run_1", "greet", 0, retry=Delays((1.5, 2)), task_ref=LOAD),
        Message("run_1", "greet", 0, retry=Exponential(max_retries=9)),
    ],
)
def test_a_message_comes_out_as_it_went_in(message):
    assert decode_message(encode_message(message)) == message


def test_defaults_stay_off_the_wire():
    said = dict(
        payload=msgspec.Raw(b"{}"), queue="default", priority=5, timeout_ms=300_000, retry=Exponential(),
        retention_ms=86_400_000, task_ref=None, unique="", metadata={},
    )  # fmt: skip
    assert (
        encode_message(compose_message("run_1", "greet", 7, **said))
        == b'{"run":"run_1","handler":"greet","enqueued_at":7}'
    )


def test_what_differs_from_the_defaults_is_carried():
    composed = compose_message("run_1", "greet", 7, queue="mail", priority=5, task_ref=LOAD)
    assert composed == Message("run_1", "greet", 7, queue="mail", task_ref=LOAD)
    assert msgspec.json.decode(encode_message(composed)) == {
        "run": "run_1",
        "handler": "greet",
        "enqueued_at": 7,
        "queue": "mail",
        "slot": {"occurrence": "occ_1", "job": "job_1", "v": 2, "at": 1_800_000_060, "task": "load"},
    }


FULL = Message(
    "run_1", "greet", 7, payload=msgspec.Raw(b'{"to":"a@b"}'), queue="mail", priority=9, timeout_ms=1,
    retry=Delays((1.5, 2.5)), retention_ms=2, task_ref=TaskRef("occ_1", "job_1", 2, 60, "load", 30, stands_alone=True),
    unique="k", metadata={"a": "b"}, max_crashes=1, on_dead="bury", member=GroupMember("run_0", 4, "mail:9"),
    group_strategy="continue", unique_queued=True, expires_at=8, headers={"c": "d"}, dead_retention_ms=3,
)  # fmt: skip
FULL_JSON = (
    b'{"run":"run_1","handler":"greet","enqueued_at":7,"payload":{"to":"a@b"},"queue":"mail","priority":9,'
    b'"timeout_ms":1,"retry":{"kind":"delays","seconds":[1.5,2.5]},"retention_ms":2,'
    b'"slot":{"occurrence":"occ_1","job":"job_1","v":2,"at":60,"task":"load","since":30,"alone":true},'
    b'"unique":"k","metadata":{"a":"b"},"max_crashes":1,"on_dead":"bury",'
    b'"member":{"group":"run_0","index":4,"place":"mail:9"},"reduces":"continue","unique_queued":true,'
    b'"expires_at":8,"headers":{"c":"d"},"dead_retention_ms":3}'
)


def test_every_field_keeps_its_name_in_json_whatever_python_calls_it():
    assert encode_message(FULL) == FULL_JSON


def test_a_message_of_an_earlier_release_is_read():
    assert decode_message(FULL_JSON) == FULL


def test_a_message_without_the_time_has_that_of_its_run():
    sent = Message(new_run_id(1_800_000_000_123), "greet")
    assert b"enqueued_at" not in encode_message(sent)
    assert decode_message(encode_message(sent)).enqueue_ms == 1_800_000_000_123
    assert decode_message(FULL_JSON).enqueue_ms == 7


def test_the_progress_of_a_backfill_keeps_its_names_in_json():
    progress = BackfillProgress(position=5, in_flight=("occ_1",), fired=1)
    stored = msgspec.json.encode(progress)
    assert stored.startswith(b'{"status":"running","position":5,"flying":["occ_1"],"fired":1,')
    assert msgspec.json.decode(stored, type=BackfillProgress) == progress


def test_a_field_of_a_later_version_is_no_obstacle():
    later = msgspec.json.encode({**msgspec.json.decode(encode_message(PLAIN)), "colour": "blue"})
    assert decode_message(later) == PLAIN


@pytest.mark.parametrize(
    "broken", [b"", b"{}", b"not json", b'{"run":"r","handler":"h","enqueued_at":"soon"}', b"\xff"]
)
def test_what_is_no_message_is_refused(broken):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode_message(broken)
