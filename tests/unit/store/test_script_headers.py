"""The contract at the top of each script and of each fragment, held against its body.

The rule for KEYS and ARGV: the first statements bind them to locals of the names and in the order of the header, and
where their number varies to a reader (`read_from`) and a bounded count. After that neither word occurs.
"""

import re

import pytest

from jobistemer.store.database import read_reply
from jobistemer.store.keys import TYPES
from jobistemer.store.scripts import LUA_FOLDER, Script, list_scripts, read_contract, read_fragment, read_header, script
from tests.support.for_each import for_each
from tests.support.paths import ROOT

TESTS = ROOT / "tests" / "store"
MAX_LINES = 40
LIBRARIES = {"redis", "cjson", "string", "table", "math"}
FUNCTIONS = {"tonumber", "tostring", "ipairs", "pairs", "unpack"}
WORD = re.compile(r"'([A-Z]{2,})'")
BINDING = re.compile(
    r"local (?P<names>[\w, ]+?)\s*=\s*(?P<values>(?:KEYS|ARGV|tonumber\(ARGV|read_from\(|math\.min\(\(?#).*)", re.DOTALL
)
CHECKS = {"HLEN": "hash", "ZCARD": "zset", "SCARD": "set", "LLEN": "list", "XLEN": "stream", "STRLEN": "string"}
FRAGMENTS = {path.stem: path for path in sorted((LUA_FOLDER / "fragments").glob("*.lua"))}

every_fragment = for_each(FRAGMENTS)
every_script = for_each(list_scripts(), lambda each: each.name)


def source(each: Script) -> str:
    """The file of a script, without the fragments that stand in front of it when it is sent."""
    return next(path for path in LUA_FOLDER.rglob(f"{each.name}.lua")).read_text()


def code(each: Script) -> list[str]:
    """The statements behind the header, a line that ends in `=` or a comma joined with the next."""
    lines = source(each).partition("]]\n")[2].splitlines()
    kept = "\n".join(line for line in lines if line.strip() and not line.strip().startswith("--"))
    return re.sub(r"(=|,)\n +", r"\1 ", kept).splitlines()


def bindings(each: Script) -> dict[str, str]:
    """The locals that the first statements bind, with their values."""
    bound = {}
    for line in code(each):
        if not (match := BINDING.fullmatch(line)):
            break
        names, values = match["names"].split(", "), re.split(r", (?![^(]*\))", match["values"])
        bound |= dict(zip(names, values, strict=True))
    return bound


def body(each: Script) -> list[str]:
    """The lines behind the bindings, as they are laid out."""
    rest = next((line for line in code(each) if not BINDING.fullmatch(line)), "")
    lines = source(each).partition("]]\n")[2].splitlines()
    start = next(at for at, line in enumerate(lines) if line and rest.startswith(line.rstrip()))
    return [line for line in lines[start:] if line.strip() and not line.strip().startswith("--")]


def called(lines: list[str]) -> set[str]:
    """The functions that lines call by their plain names."""
    text = re.sub(r"'[^']*'", "''", "\n".join(lines))
    return set(re.findall(r"(?<![.\w])([a-z]\w*)\(", text))


def fragment(name: str) -> tuple[str, list[str], list[str]]:
    """The header of a fragment, its parameters, and the lines of its function."""
    header, _, rest = FRAGMENTS[name].read_text().partition("]]\n")
    first, *lines, last = rest.splitlines()
    match = re.fullmatch(rf"local function {name}\(([\w, ]*)\)", first)
    assert match, f"{name}: the file holds one function of its name"
    assert last == "end"
    return header, match[1].split(", "), lines


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
    sections = re.findall(r"^(KEYS|ARGV|OUT|KEEPS)\b", source(each).partition("]]")[0], re.MULTILINE)
    assert sections == ["KEYS", "ARGV", "OUT", "KEEPS"]


@every_script
def test_the_invariants_that_a_script_keeps_exist(each):
    assert set(each.header.keeps) <= {f"I{number}" for number in range(1, 11)}
    assert each.header.keeps


@every_script
def test_keys_and_arguments_are_bound_first_by_the_names_of_the_header(each):
    bound = bindings(each)
    for kind, names in (("KEYS", each.header.keys), ("ARGV", each.header.args)):
        of_kind = {name: value for name, value in bound.items() if f"{kind}[" in value}
        assert list(names[: len(of_kind)]) == list(of_kind)
        assert [int(re.search(rf"{kind}\[(\d+)\]", value)[1]) for value in of_kind.values()] == list(
            range(1, len(of_kind) + 1)
        )
        # A reader begins where the names end.
        assert {value for value in bound.values() if f"read_from({kind}" in value} <= {
            f"read_from({kind}, {len(of_kind) + 1})"
        }


@every_script
def test_what_is_not_bound_is_said_to_come_in_a_varying_number(each):
    bound = bindings(each)
    header = source(each).partition("]]")[0].splitlines()
    for name in {*each.header.keys, *each.header.args} - set(bound):
        row = next(line for line in reversed(header) if re.match(rf"  ([\w, ]+, )?{name}\b", line))
        assert re.search(r"\\|/( |$)|\beach\b", row), f"{name} is neither bound nor one of many"


@every_script
def test_keys_and_arguments_appear_nowhere_else(each):
    found = [line for line in body(each) if re.search(r"\b(KEYS|ARGV)\b", line)]
    assert found in ([], ["check_all_types(KEYS)"])


def test_the_types_of_keys_are_the_same_in_the_table_in_the_fragment_and_in_all_headers():
    checked = re.findall(r"(\w+) = ('[^=]*?'),\n", "\n".join(fragment("check_all_types")[2]))
    assert {kind: CHECKS[command] for command, kinds in checked for kind in re.findall(r"[a-z]+", kinds)} == TYPES
    headers = "".join(map(read_contract, [*FRAGMENTS, *(each.name for each in list_scripts())]))
    named = {
        (kind, line[1])
        for line in re.finditer(r"^  \w+ +(hash|set|zset|list|string|stream) .*$", headers, re.MULTILINE)
        for kind in re.findall(r"\{ns:shard\}:([a-z]+)", line[0])
    }
    assert named <= set(TYPES.items())


def test_a_bundle_of_plain_successes_writes_word_for_word_what_record_success_writes():
    def writes(text):
        found = re.search(r"redis\.pcall\('HSET', run.*?'PEXPIRE', run, retention_ms\)", text, re.DOTALL)
        lines = [line.strip() for line in found[0].splitlines()]
        return [line for line in lines if line.startswith(("redis", "'", "if number", "if result"))]

    shared = writes("\n".join(fragment("record_success")[2]))
    own = writes(source(script("commit_successes")).replace("attempts[i]", "attempt"))
    assert own == shared
    assert len(own) == 7


@every_script
def test_a_script_says_which_fragments_it_uses(each):
    uses = set(each.header.uses)
    inside = {other for name in uses for other in called(fragment(name)[2])} & set(FRAGMENTS)
    assert uses == called(code(each)) & set(FRAGMENTS) | inside
    assert each.text == "".join(map(read_fragment, each.header.uses)) + source(each)


@every_script
def test_a_fragment_stands_behind_those_that_it_calls(each):
    for at, name in enumerate(each.header.uses):
        assert called(fragment(name)[2]) & set(FRAGMENTS) <= set(each.header.uses[:at])


@every_script
def test_no_local_hides_a_fragment(each):
    assert not {*bindings(each), *re.findall(r"local ([\w, ]+) =", "\n".join(body(each)))} & set(each.header.uses)


@every_fragment
def test_a_fragment_says_what_it_takes_and_gives(name):
    header, parameters, lines = fragment(name)
    assert header.startswith(f"--[[\n{name}: ")
    taken = header.partition("TAKES\n")[2].partition("GIVES\n")[0]
    assert re.findall(r"^  (\w+)", taken, re.MULTILINE) == parameters
    assert header.partition("GIVES\n")[2].strip()
    says = re.search(r"^USES (.*)", header, re.MULTILINE)
    assert set(says[1].split() if says else ()) == called(lines) & set(FRAGMENTS)


@every_fragment
def test_a_fragment_is_short_and_uses_what_every_server_has(name):
    _, parameters, lines = fragment(name)
    assert len(lines) <= 20
    assert called(lines) <= FUNCTIONS | set(FRAGMENTS) | set(parameters) | {"function"}
    assert not [line for line in lines if re.match(r"\s*(while|repeat|goto)\b", line)]
    loops = [match[1] for line in lines if (match := re.match(r"\s*for \w+ = \d+, (.+) do", line))]
    assert set(loops) <= set(parameters), "the caller bounds what a fragment walks along"


@every_fragment
def test_each_fragment_is_used_and_has_a_test_file_of_its_name(name):
    assert any(name in each.header.uses for each in list_scripts())
    assert (TESTS / "fragments" / f"test_{name}.py").is_file()


@every_script
def test_what_is_written_are_texts_since_the_server_prints_each_number_that_a_script_hands_over(each):
    writes = re.findall(r"redis\.p?call\('(?:HSET|XADD)'(?:[^()']|'[^']*'|\([^()]*\))*\)", each.text)
    numbers = re.compile(r"(?:,| or)\s*-?\d+\s*[,)]")
    assert [write for write in writes if numbers.search(re.sub(r"(?<!call)\([^()]*\)", "", write))] == []


@every_script
def test_every_word_that_is_answered_is_listed_and_every_listed_one_is_answered(each):
    said = set(WORD.findall(without_calls("\n".join(body(each)))))
    assert said == each.header.words


@every_script
def test_only_libraries_that_every_server_has_are_used(each):
    text = re.sub(r"'[^']*'", "''", "\n".join(body(each)))
    assert set(re.findall(r"\b([a-z]\w*)\.\w+\(", text)) <= LIBRARIES
    assert set(re.findall(r"\bredis\.(\w+)", text)) <= {"call", "pcall"}
    readers = {name for name, value in bindings(each).items() if value.startswith("read_from(")}
    assert called(body(each)) <= FUNCTIONS | set(each.header.uses) | readers


@every_script
def test_every_loop_has_a_bound(each):
    lines = body(each)
    bounded = {name for name, value in bindings(each).items() if value.startswith("math.min(")}
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
def test_a_script_is_short_enough_to_be_read_at_a_glance_or_says_why_it_is_not(each):
    assert (len(body(each)) > MAX_LINES) == bool(each.header.long)
    assert max(len(line) for line in source(each).splitlines()) <= 125


@every_script
def test_each_script_has_a_test_file_of_its_name(each):
    folder = next(LUA_FOLDER.rglob(f"{each.name}.lua")).parent.name
    assert (TESTS / folder / f"test_{each.name}.py").is_file()


def test_each_test_file_has_its_script():
    tested = {path.stem.removeprefix("test_") for path in TESTS.glob("*/test_*.py")}
    assert tested == {each.name for each in list_scripts()} | set(FRAGMENTS)


def test_a_header_without_its_sections_is_refused():
    with pytest.raises(ValueError, match="lacks OUT or KEEPS"):
        read_header("--[[\nsome_script: does something.\n\nKEYS\nARGV\n]]\n")


def test_a_word_that_the_header_does_not_list_is_an_error():
    with pytest.raises(AssertionError, match="pause_job answered 'SURPRISE'"):
        read_reply(script("pause_job")((), ()), [b"SURPRISE"])


def test_the_scripts_are_found_where_they_stand():
    assert len(list_scripts()) + len(FRAGMENTS) == len(list(LUA_FOLDER.rglob("*.lua")))
    assert FRAGMENTS
