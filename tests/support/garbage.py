"""Garbage for the keys of a shard: values that no process can read, and values of another type."""

from __future__ import annotations

from redis import Redis

NO_TEXT = b"\xff\xfe\xfd"
WORDS = [NO_TEXT, b"", b"nonsense", b"a:b:c", b"default:x:run_1", b"default:99:run_1", b"\x00", b"{" * 50]
KINDS = 15
REPLACED_FROM = 10
"""From this number on the kinds replace the whole value."""


def word_of(number: int) -> bytes:
    """Return the unreadable text of a kind."""
    return WORDS[number % len(WORDS)]


def add_garbage(client: Redis, key: str, number: int) -> None:
    """Add what no process can read to the members, entries or fields of a key; a string stays as it is."""
    kind, word = client.type(key).decode(), word_of(number)
    if kind == "zset":
        client.zadd(key, {word: [1, float("-inf"), float("inf")][number % 3]})
    elif kind == "set":
        client.sadd(key, word)
    elif kind == "list":
        client.rpush(key, word)
    elif kind == "stream":
        client.xadd(key, [{"m": word, "n": 0, "c": 0}, {"x": word}, {"m": b"{}", "n": word, "c": word}][number % 3])
    elif kind == "hash":
        client.hset(key, word or b"nonsense", word)


def replace_by_garbage(client: Redis, key: str, number: int) -> None:
    """Replace the value of a key by one of another type; number: from REPLACED_FROM to KINDS - 1."""
    word = word_of(number)
    client.delete(key)
    writes = [
        lambda: client.set(key, word),
        lambda: client.hset(key, "a", word),
        lambda: client.zadd(key, {word: 1}),
        lambda: client.sadd(key, word),
        lambda: client.rpush(key, word),
    ]
    writes[number - REPLACED_FROM]()
