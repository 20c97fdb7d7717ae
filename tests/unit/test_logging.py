import json
import logging

import pytest

from jobistemer.core.errors import Misconfigured
from jobistemer.core.printable import printable
from jobistemer.runtime.logging import LinesForMachines, LinesForPeople, set_up_logging


def written(formatter, message, *args, trouble=None):
    exc_info = (type(trouble), trouble, trouble.__traceback__) if trouble else None
    record = logging.LogRecord("jobistemer.test", logging.WARNING, __file__, 1, message, args, exc_info)
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
    assert printable(text) == shown


def test_a_line_for_people_is_one_line_whatever_the_message_holds():
    line = written(LinesForPeople(), "run of %s", "evil\n12:00:00 info forged\x1b[2J")
    assert line.endswith(" warning  run of evil\\n12:00:00 info forged\\x1b[2J")
    assert "\n" not in line


def test_a_traceback_is_indented_below_its_line():
    lines = written(LinesForPeople(), "step failed", trouble=trouble()).splitlines()
    assert lines[0].endswith(" warning  step failed")
    assert lines[-1] == r"    ValueError: no\x1b[2Jsuch"
    assert all(line.startswith("    ") for line in lines[1:])


def test_a_line_for_machines_is_one_json_object():
    line = written(LinesForMachines(), "run of %s", "evil\nforged\x1b", trouble=trouble())
    fields = json.loads(line)
    assert "\x1b" not in line
    assert (fields["level"], fields["logger"], fields["message"]) == ("warning", "jobistemer.test", "run of evil\nforged\x1b")
    assert fields["traceback"].endswith("such")
    assert fields["at"].endswith("Z")


def test_an_unknown_level_is_refused():
    with pytest.raises(Misconfigured, match="log level is 'loud', allowed are debug, info, warning, error"):
        set_up_logging("loud", LinesForPeople())
