import pytest

from jobistemer.core.checks import check_name, show
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


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", "'x'"),
        ("x" * 200, "'" + "x" * 79 + "…"),
        (10**5000, "<int that cannot be shown: ValueError>"),
        (Unshowable(), "<Unshowable that cannot be shown: RuntimeError>"),
        ("\ud800", "'\\ud800'"),
    ],
    ids=["short", "long", "digits", "hostile", "surrogate"],
)
def test_any_value_can_be_shown_in_an_error(value, shown):
    assert show(value) == shown
