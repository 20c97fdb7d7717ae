"""The contract at the top of each script, held against its body.

The rule for KEYS and ARGV: the first statements bind them to locals of the names and in the order of the header.
After that they occur only where their number varies: with a computed index, as `#KEYS` or `#ARGV`, or in `unpack(ARGV, …)`.
"""

import re

import pytest

from jobistemer.store.database import read_reply
from jobistemer.store.scripts import LUA_FOLDER, Script, list_scripts, read_header, script
from tests.support.paths import ROOT

TESTS = ROOT / "tests" / "store"
MAX_LINES = 40
LONGER = {
    # Each is one decision that must be taken and written in one step, so it cannot become two scripts.
    "claim_occurrence": 67,  # the cursor, the pause, the overlap policy and the runs of the occurrence
    "admit_run": 55,  # limits at a time and rates are taken together or not at all
    "commit_task": 57,  # the attempt, its run, the tasks that waited for it and the occurrence
}
LIBRARIES = {"redis", "cjson", "string", "table", "math"}
FUNCTIONS = {"tonumber", "tostring", "ipairs", "pairs", "unpack"}
WORD = re.compile(r"'([A-Z]{2,})'")
BINDING = re.compile(r"local (?P<names>[\w, ]+?)\s*=\s*(?P<values>(?:KEYS|ARGV|tonumber\(ARGV)\[.*)", re.DOTALL)

every_script = pytest.mark.parametrize("each", list_scripts(), ids=lambda each: each.name)


def code(each: Script) -> list[str]:
    """The statements behind the header, a line that ends in `=` or a comma joined with the next."""
    lines = each.text.partition("]]\n")[2].splitlines()
    kept = "\n".join(line for line in lines if line.strip() and not line.strip().startswith("--"))
    return re.sub(r"(=|,)\n +", r"\1 ", kept).splitlines()


def bindings(each: Script) -> dict[str, str]:
    """The locals that the first statements bind, with what they are bound to."""
    bound = {}
    for line in code(each):
        if not (match := BINDING.fullmatch(line)):
            break
        names, values = match["names"].split(", "), match["values"].split(", ")
        bound |= dict(zip(names, values, strict=True))
    return bound


def body(each: Script) -> list[str]:
    """What follows the bindings, as it is laid out."""
    rest = next((line for line in code(each) if not BINDING.fullmatch(line)), "")
    lines = each.text.partition("]]\n")[2].splitlines()
    start = next(at for at, line in enumerate(lines) if line and rest.startswith(line.rstrip()))
    return [line for line in lines[start:] if line.strip() and not line.strip().startswith("--")]


def without_calls(text: str) -> str:
    """The text with the arguments of every `redis.call(…)` taken out."""
    innermost = re.compile(r"(?:redis\.call|tonumber|ipairs|math\.floor)?\((?:[^()']|'[^']*')*\)")
    while (shorter := innermost.sub("_", text)) != text:
        text = shorter
    return text


@every_script
def test_the_file_is_called_like_the_script_in_its_header(each):
    assert each.header.name == each.name
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", each.name)


@every_script
def test_the_header_says_what_the_script_does_in_four_sections(each):
    assert each.header.summary
    sections = re.findall(r"^(KEYS|ARGV|OUT|KEEPS)\b", each.text.partition("]]")[0], re.MULTILINE)
    assert sections == ["KEYS", "ARGV", "OUT", "KEEPS"]


@every_script
def test_the_invariants_that_a_script_keeps_exist(each):
    assert set(each.header.keeps) <= {f"I{number}" for number in range(1, 11)}
    assert each.header.keeps


@every_script
def test_keys_and_arguments_are_bound_first_by_the_names_of_the_header(each):
    bound = bindings(each)
    of = {kind: [name for name, value in bound.items() if kind in value] for kind in ("KEYS", "ARGV")}
    for kind, names in (("KEYS", each.header.keys), ("ARGV", each.header.args)):
        assert list(names[: len(of[kind])]) == of[kind]
        numbers = [int(number) for value in bound.values() for number in re.findall(rf"{kind}\[(\d+)\]", value)]
        assert numbers == list(range(1, len(numbers) + 1))


@every_script
def test_what_is_not_bound_is_said_to_come_in_a_varying_number(each):
    bound = bindings(each)
    header = each.text.partition("]]")[0].splitlines()
    for name in {*each.header.keys, *each.header.args} - set(bound):
        row = next(line for line in reversed(header) if re.match(rf"  ([\w, ]+, )?{name}\b", line))
        assert re.search(r"\\|/( |$)|\beach\b", row), f"{name} is neither bound nor one of many"


@every_script
def test_keys_and_arguments_appear_nowhere_else_except_in_a_varying_number(each):
    text = "\n".join(body(each))
    assert re.findall(r"(?:KEYS|ARGV)\[\d+\]", text) == []
    uses = re.findall(r".?\b(?:KEYS|ARGV)\b.?", text)
    assert [use for use in uses if not use.endswith("[") and use[:-1] not in ("#KEYS", "#ARGV") and use not in ("(ARGV,", "(KEYS,")] == []


@every_script
def test_every_word_that_is_answered_is_listed_and_every_listed_one_is_answered(each):
    said = set(WORD.findall(without_calls("\n".join(body(each)))))
    assert said == each.header.words


@every_script
def test_only_libraries_that_every_server_has_are_used(each):
    text = re.sub(r"'[^']*'", "''", "\n".join(body(each)))
    assert set(re.findall(r"\b([a-z]\w*)\.\w+\(", text)) <= LIBRARIES
    assert set(re.findall(r"\bredis\.(\w+)", text)) <= {"call"}
    assert set(re.findall(r"(?<![.\w])([a-z]\w*)\(", text)) <= FUNCTIONS


@every_script
def test_every_loop_has_a_bound(each):
    lines = body(each)
    bounded = {match[1] for line in lines if (match := re.match(r"local (\w+) = math\.min\(", line))}
    for line in lines:
        assert not re.match(r"\s*(while|repeat|goto)\b", line)
        if match := re.match(r"\s*for \w+ = \d+, (.+) do", line):
            assert match[1].startswith("math.min(") or match[1] in bounded
        elif re.match(r"\s*for\b", line):
            assert "ipairs(" in line


@every_script
def test_keys_are_passed_and_never_put_together(each):
    subjects = re.findall(r"redis\.call\('[A-Z]+', (?:'[A-Z]+', )?([^,)]+)", "\n".join(body(each)))
    assert subjects
    assert not [subject for subject in subjects if ".." in subject or subject.startswith("'")]


@every_script
def test_a_script_is_short_enough_to_be_read_at_a_glance(each):
    assert len(body(each)) <= LONGER.get(each.name, MAX_LINES)
    assert max(len(line) for line in each.text.splitlines()) <= 125


def test_a_script_that_has_become_short_is_no_longer_called_long():
    assert all(MAX_LINES < len(body(script(name))) <= most for name, most in LONGER.items())


@every_script
def test_each_script_has_a_test_file_of_its_name(each):
    folder = next(LUA_FOLDER.rglob(f"{each.name}.lua")).parent.name
    assert (TESTS / folder / f"test_{each.name}.py").is_file()


def test_each_test_file_has_its_script():
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("*/test_*.py")} == {each.name for each in list_scripts()}


def test_a_header_without_its_sections_is_refused():
    with pytest.raises(ValueError, match="lacks OUT or KEEPS"):
        read_header("--[[\nsome_script: does something.\n\nKEYS\nARGV\n]]\n")


def test_a_word_that_the_header_does_not_list_is_an_error():
    with pytest.raises(AssertionError, match="pause_job answered 'SURPRISE'"):
        read_reply(script("pause_job")((), ()), [b"SURPRISE"])


def test_the_scripts_are_found_where_they_stand():
    assert len(list_scripts()) == len(list(LUA_FOLDER.rglob("*.lua"))) > 0
