"""The question whether a known name was meant: one form for names of jobs, tasks, queues, limits and options."""

from jobistemer.core.checks import suggest


def test_up_to_three_near_names_are_asked_for_and_the_nearest_comes_first():
    known = ["mails", "mail", "mailer", "mailing", "pay"]
    assert suggest("mail", known).startswith("did you mean 'mail' or 'mails' or ")
    assert suggest("mail", known).count(" or ") == 2


def test_nothing_is_asked_when_no_name_is_near():
    assert suggest("mail", ["pay", "ship"]) == suggest("mail", []) == ""


def test_a_very_long_name_is_cut():
    assert len(suggest("x" * 300, ["x" * 301])) < 120
