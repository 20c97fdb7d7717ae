"""What is shown and stored holds no secrets and moves no cursor."""

from __future__ import annotations

import json

import pytest

from jobistemer.core import safe_text
from jobistemer.core.safe_text import clean_text, escape_json, escape_text, hide_named, hide_secrets, remember_secret


@pytest.mark.parametrize(
    "text",
    [
        "redis://ann:hunter2@host:6379/0",
        "redis://:hunter2@host",
        "redis:/u:hunter2@h",
        "postgresql+psycopg://ann:hunter2@db/shop?sslmode=require",
        "https://example.org/a?b=c&access_token=hunter2&d=e",
        "https://bucket/x?X-Amz-Signature=hunter2",
        "{'password': 'hunter2', 'user': 'ann'}",
        '{"client_secret": "hunter2"}',
        '{"api_key":"a\\"hunter2"}',
        "(b'authorization', b'Bearer hunter2')",
        "Authorization: Bearer hunter2hunter2",
        "authorization: Basic aHVudGVyMg==hunter2",
        "Cookie: session=hunter2",
        "X-Api-Key: hunter2",
        "Private-Token: hunter2",
        "X-Amz-Security-Token: hunter2",
        "connection failed: host=db user=ann password=hunter2 dbname=shop",
        "connect(password='hunter2')",
        "--db-password=hunter2",
        "AWS_SECRET_ACCESS_KEY=hunter2",
        "password: hunter2",
        "sent Bearer hunter2.abcdefghij",
    ],
)
def test_a_secret_is_hidden_and_the_rest_is_not(text):
    shown = hide_secrets(text)
    assert "hunter2" not in shown
    assert "***" in shown
    assert shown[:4] == text[:4]


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0",
        "http://[::1]:8080/a@b",
        "SyntaxError: unexpected token: }",
        "KeyError: 'token'",
        "the key is missing: order-7",
        "monkey=7 and keyboard: none",
        "password=None",
        "ValueError: 7 is no basic colour",
        "a bearer of news",
        "tokens: 12,000 of 16,000",
        "    password=(await load())",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    assert hide_secrets(text) == text


def test_a_password_of_this_process_is_hidden_wherever_it_stands(monkeypatch):
    monkeypatch.setattr(safe_text, "_known", [])
    remember_secret("tr0ub4dor")
    remember_secret("s3cret")
    remember_secret("jobistemer")
    remember_secret(None)
    assert hide_secrets("AUTH tr0ub4dor failed in jobistemer, s3cret") == "AUTH *** failed in jobistemer, s3cret"
    for number in range(300):
        remember_secret(f"password {number}")
    assert len(safe_text._known) == 100


@pytest.mark.parametrize(
    "text",
    ["password=" * 20_000, "'password': '" * 10_000, "://a:" * 20_000, "x-" * 50_000 + "key: a", "token" * 30_000],
)
def test_a_hostile_text_does_not_make_the_search_slow(text):
    # One that is not linear takes longer than any test may.
    assert hide_secrets(text)


def test_the_values_of_secret_names_in_headers_are_hidden():
    given = {"Authorization": "Bearer x", "x-api-key": "y", "order": "7", "url": "redis://:hunter2@h", "db_password": 5}
    assert hide_named(given) == {
        "Authorization": "***",
        "x-api-key": "***",
        "order": "7",
        "url": "redis://:***@h",
        "db_password": "***",
    }


HOSTILE = "a\x1b[31mb\x7f\x9b31m\u202ec\u2066d\u200be\u2028f\u0000g\U000e0001h é 漢 🙂"


def test_json_holds_no_character_that_a_terminal_obeys_and_says_the_same():
    shown = escape_json(json.dumps({"text": HOSTILE}, ensure_ascii=False, indent=2))
    assert json.loads(shown) == {"text": HOSTILE}
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "é 漢 🙂" in shown


def test_text_for_people_is_one_printable_line():
    assert clean_text(HOSTILE + "\nnext\r").isprintable()


@pytest.mark.parametrize("text", ["👩\u200d👧", "می\u200cخواهم", "क्\u200dष"])
def test_marks_that_join_letters_or_emoji_stay(text):
    assert escape_text(text) == text


@pytest.mark.parametrize("text", ["a\u200db", "\u200d", "👩\u200d", "\u200d\u200d", "م\u202eم", "a\u200b"])
def test_other_invisible_marks_are_escaped(text):
    assert escape_text(text).isascii() or "\\u202e" in escape_text(text) or "\\u200d" in escape_text(text)
    assert escape_text(text) != text
