import pytest

from jobistemer.core.checks import check_name
from jobistemer.core.errors import InvalidName


@pytest.mark.parametrize("name", ["a", "_a", "7", "send-mail", "etl.load", "crontab/backup", "A" * 128])
def test_a_name_that_may_enter_a_key_is_given_back(name):
    assert check_name("job", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "/a", "a:b", "a b", "a{b}", "{a}", "a\n", "a\x00", "naïve", "٣", "A" * 129, None, 7, b"a"],
)
def test_any_other_name_is_refused_with_kind_value_and_rule(name):
    with pytest.raises(InvalidName, match=r"queue name .* is not allowed: use 1–128 ASCII letters"):
        check_name("queue", name)


def test_a_very_long_name_does_not_fill_the_log():
    with pytest.raises(InvalidName) as refused:
        check_name("job", "x" * 1_000_000)
    assert len(str(refused.value)) < 400
