import json
import logging
import os
import threading

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.core.runs.message import Delivery, Message, TaskRef
from jobistemer.core.safe_text import escape_text, hide_secrets
from jobistemer.runtime.logging import JsonFormatter, TextFormatter, set_up_logging
from jobistemer.worker.attempts.run_logger import log_extra


def written(formatter, message, *args, trouble=None, **extra):
    exc_info = (type(trouble), trouble, trouble.__traceback__) if trouble else None
    record = logging.LogRecord("jobistemer.test", logging.WARNING, __file__, 1, message, args, exc_info)
    vars(record).update(extra)
    return formatter.format(record)


def trouble():
    try:
        raise ValueError("no\x1b[2Jsuch")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ümläute and 漢字", "plain text, ümläute and 漢字"),
        ("a\nforged line", r"a\nforged line"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("right\u202eleft\u2028line", r"right\u202eleft\u2028line"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
    ],
)
def test_nothing_that_moves_a_cursor_or_forges_a_line_is_printable(text, shown):
    assert escape_text(text) == shown


def test_a_line_for_people_is_one_line_whatever_the_message_holds():
    line = written(TextFormatter(), "run of %s", "evil\n12:00:00 info forged\x1b[2J")
    assert line.endswith(" warning  run of evil\\n12:00:00 info forged\\x1b[2J")
    assert "\n" not in line


def test_a_traceback_is_indented_below_its_line():
    lines = written(TextFormatter(), "step failed", trouble=trouble()).splitlines()
    assert lines[0].endswith(" warning  step failed")
    assert lines[-1] == r"    ValueError: no\x1b[2Jsuch"
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_line_for_machines_is_one_json_object():
    line = written(JsonFormatter(), "run of %s", "evil\nforged\x1b", trouble=trouble())
    fields = json.loads(line)
    assert "\x1b" not in line
    assert (fields["level"], fields["logger"], fields["message"]) == (
        "warning",
        "jobistemer.test",
        "run of evil\nforged\x1b",
    )
    assert (fields["exception"]["type"], fields["exception"]["message"]) == ("ValueError", "no\x1b[2Jsuch")
    assert fields["exception"]["traceback"][0] == "Traceback (most recent call last):"
    assert fields["at"].endswith("Z")


def test_facts_are_fields_of_their_own_and_never_replace_a_standard_field():
    delivery = Delivery(
        b"s", b"1-0", Message("run_1", "mail.send", 0, task_ref=TaskRef("occ_1", "job_1", 1, 0, "t")), 2, 0
    )
    facts = {**log_extra(delivery)["facts"], "message": "forged"}
    fields = json.loads(written(JsonFormatter(), "sent", facts=facts, order=7, odd={1, "x"} & {1}))
    assert [fields.pop(name) for name in ("pid", "thread")] == [os.getpid(), threading.current_thread().name]
    del fields["at"]
    assert fields == {
        "level": "warning",
        "logger": "jobistemer.test",
        "message": "sent",
        "run": "run_1",
        "task": "mail.send",
        "attempt": 2,
        "job": "job_1",
        "occurrence": "occ_1",
        "extra": {"order": 7, "odd": [1]},
    }


def test_a_line_for_people_names_its_run_once():
    facts = {"run": "run_1", "task": "mail.send", "attempt": 2}
    assert written(TextFormatter(), "run_1 of mail.send: lost", facts=facts).endswith("  run_1 of mail.send: lost")
    assert written(TextFormatter(), "sent", facts=facts).endswith("  sent run=run_1 task=mail.send")


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    ("message", "args", "extra"),
    [
        ("half \ud800 a character", (), {}),
        ("%d pieces", ("many",), {}),
        ("%s", (Hostile(),), {}),
        ("fine", (), {"facts": {"task": "t\ud800"}}),
        ("fine", (), {"thing": object()}),
        ("a\u2028b\x85c\rd\ne", (), {}),
    ],
)
def test_whatever_a_line_holds_it_is_written_as_one_line(formatter, message, args, extra):
    line = written(formatter, message, *args, **extra)
    assert line.splitlines() == [line]
    line.encode()


def test_a_line_names_values_that_could_not_be_written():
    fields = json.loads(written(JsonFormatter(), "half \ud800", thing=Hostile()))
    assert fields["message"] == r"half \ud800"
    assert fields["unwritable"].startswith("UnicodeEncodeError: ")
    fields = json.loads(written(JsonFormatter(), "fine", thing=Hostile()))
    assert (fields["message"], fields["unwritable"]) == ("fine", "RuntimeError: no")


class HostileError(Exception):
    def __str__(self):
        raise RuntimeError("no")


def test_an_exception_whose_text_raises_is_logged_all_the_same():
    fields = json.loads(written(JsonFormatter(), "step failed", trouble=HostileError()))
    assert (fields["message"], fields["exception"]["type"]) == ("step failed", "HostileError")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://ann:hunter2@host:6379/0.", "at redis://ann:***@host:6379/0."),
        ("redis://:hunter2@host and bob@example.org", "redis://:***@host and bob@example.org"),
        ("https://u:p@ss/w:rd@host/x", "https://u:***@host/x"),
        ("https://host:8443/x?mail=a@b", "https://host:8443/x?mail=a@b"),
        ("https://host/x?a=1&access_token=hunter2&b=2", "https://host/x?a=1&access_token=***&b=2"),
        ("https://host/x?api_key=hunter2", "https://host/x?api_key=***"),
        ("monkey=1 and key: value", "monkey=1 and key: value"),
    ],
)
def test_secrets_in_urls_are_hidden_in_every_form_and_place(text, shown):
    assert hide_secrets(text) == shown
    try:
        raise ValueError(text)
    except ValueError as error:
        caught = error
    fields = json.loads(written(JsonFormatter(), "see %s", text, trouble=caught, facts={"error": text}, url=text))
    assert (fields["message"], fields["error"], fields["extra"]["url"]) == (f"see {shown}", shown, shown)
    assert (fields["exception"]["message"], fields["exception"]["traceback"][-1]) == (shown, f"ValueError: {shown}")
    assert written(TextFormatter(), "see %s", text, trouble=caught).endswith(f"ValueError: {shown}")


def test_a_text_that_looks_like_very_many_urls_takes_no_time():
    text = "://a:" * 50_000 + "?token" * 50_000
    assert hide_secrets(text) == text


def test_an_unknown_level_is_refused():
    with pytest.raises(Misconfigured, match="log level is 'loud', allowed are debug, info, warning, error"):
        set_up_logging("loud", TextFormatter())
