"""One shard of a namespace: executes calls of scripts, alone or many in a pipeline.

Every failure of the server is raised as an error of this package. Scripts are idempotent, so a call without an answer
can be sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import redis
from redis.exceptions import NoPermissionError, NoScriptError

from jobistemer.core.errors import JobistemerError, ServerRefused
from jobistemer.core.unreadable import Unreadable
from jobistemer.store.clock import Clock
from jobistemer.store.errors import is_unreadable, is_wrong_type, translate_error
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import PRODUCER_SCRIPTS, Reply, ScriptCall, script
from jobistemer.store.server.cluster_client import SlotClient
from jobistemer.store.server.direct_execute import direct_execute, direct_execute_all

Command = tuple[Any, ...]
TIME: Command = ("TIME",)
CLOCK_MAX_AGE_S = 10.0
"""When its clock was corrected longer ago, a shard asks for the time in the same round trip as other commands."""
TRIES = 3
"""How often scripts are loaded that the server does not know: on a cluster the shard may move to another node."""

_NUMBERS: Final = frozenset(["ZCARD", "XLEN", "HLEN", "LLEN", "SCARD", "EXISTS"])
_NOTHINGS: Final = frozenset(["HGET", "ZSCORE", "GET"])

log = logging.getLogger("jobistemer")


class Database:
    """A connection to one shard, with its keys and its clock.

    mend: what a ticker or a worker does about keys of the wrong type; then the command is sent once more. put_aside:
    what it does about members that nobody can read; None in other processes, which leave them out.
    """

    def __init__(self, client: redis.Redis, keys: Keys, clock: Clock, address: str) -> None:
        self.client = client
        self.keys = keys
        self.clock = clock
        self.address = address
        self.mend: Mend | None = None
        self.put_aside: PutAside | None = None
        # As this process has last read it, None before that, and while there is none.
        self.identity: bytes | None = None
        self._execute, self._execute_all = direct_execute(client), direct_execute_all(client)

    def call(self, call: ScriptCall) -> Reply:
        """Execute one call. Raises NotConnected or ServerRefused."""
        if self.clock.age_s > CLOCK_MAX_AGE_S:
            (answer,) = self.call_all([call])
            if isinstance(answer, JobistemerError):
                raise answer
            return answer
        # What `ScriptCall.combined` and `ScriptCall.command` would give, without entering them for each plain call.
        sent = call.combined if call.extensions else call
        command = ("EVALSHA", sent.script.sha, len(sent.keys), *sent.keys, *sent.args)
        return read_reply(call, self.ask(*command, script=sent))

    def ask(self, *command: Any, script: ScriptCall | None = None) -> Any:
        """Execute one command and return what the server answers. Raises NotConnected or ServerRefused."""
        try:
            try:
                if script is not None and self._execute is not None:
                    return self._execute(*command)
                return self.client.execute_command(*command)
            except NoScriptError as unknown:
                if script is None:
                    raise
                answer = _execute_unknown(self, script, unknown)
                self.load_scripts()
                return answer
        except redis.RedisError as error:
            if is_wrong_type(error) and _mend(self, script.keys if script else command[1:2]):
                return self.ask(*command, script=script)
            raise translate_error(error, self.address, script) from error

    def call_all(self, calls: Sequence[ScriptCall]) -> list[Reply | JobistemerError]:
        """Execute many calls in one round trip. Returns for each its reply, or its error when the server refused it.

        Raises NotConnected when the whole round trip failed.
        """
        # What `ScriptCall.combined` and `ScriptCall.command` would give, without entering them for each plain call.
        sent = [call.combined if call.extensions else call for call in calls]
        commands = [("EVALSHA", each.script.sha, len(each.keys), *each.keys, *each.args) for each in sent]
        raw = self._pipeline(commands) if self.clock.age_s <= CLOCK_MAX_AGE_S else self._ask_with_time(commands)
        if [answer for answer in raw if isinstance(answer, redis.RedisError)]:
            _retry_refused(self, sent, commands, raw)
        return [
            translate_error(answer, self.address, call)
            if isinstance(answer, redis.RedisError)
            else read_reply(call, answer)
            for call, answer in zip(calls, raw, strict=True)
        ]

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Execute many commands in one round trip. Raises NotConnected, or ServerRefused for the first refusal."""
        answers = self._pipeline(commands)
        _mend_answers(self, commands, [each[1:2] for each in commands], answers)
        for answer in answers:
            if isinstance(answer, redis.RedisError):
                raise translate_error(answer, self.address)
        return answers

    def read_all(self, commands: Sequence[Command]) -> list[Any]:
        """Execute many commands that only read, in one round trip.

        A key of the wrong type reads like one that is not there; `jobistemer doctor` names such keys. Raises
        NotConnected, or ServerRefused for the first other refusal.
        """
        answers = self._pipeline(commands) if commands else []
        for index, answer in enumerate(answers):
            if isinstance(answer, redis.RedisError):
                if not is_unreadable(answer):
                    raise translate_error(answer, self.address)
                answers[index] = _empty_answer(commands[index])
        return answers

    def read(self, *command: Any) -> Any:
        """Execute one command that only reads, as `read_all` does."""
        return self.read_all([command])[0]

    def node_client(self) -> redis.Redis:
        """Return the client of the one server that has this shard now, for commands that must not be sent twice."""
        return self.client.node_client() if isinstance(self.client, SlotClient) else self.client

    def node(self) -> str:
        """Return the host and port of the cluster node that has this shard now, as far as is known; else empty."""
        if not isinstance(self.client, SlotClient):
            return ""
        try:
            host, port = self.client.cluster_map.address(self.client.slot)
        except redis.RedisError:
            return ""
        return f"{host}:{port}"

    def learn_from_error(self, error: redis.RedisError) -> None:
        """Update the map of a cluster after the failure of a command that was not sent by `ask`."""
        if isinstance(self.client, SlotClient):
            self.client.learn_from_error(error)

    def read_clock(self) -> int:
        """Ask the server for its time, correct the clock by it, and return it in milliseconds."""
        self.clock.correct(read_time_ms(self.ask(*TIME)))
        return self.clock.now_ms()

    def _ask_with_time(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands, and ask for the server's time along with them, to correct the clock by it.

        A process that beats asks with each beat; this is how a producer notices that its server was emptied.
        """
        *answers, time, identity = self._pipeline([*commands, TIME, ("GET", self.keys.identity)])
        if not isinstance(time, redis.RedisError):
            self.clock.correct(read_time_ms(time))
        # The rule of a user may be older than this question; then nothing is known.
        if not isinstance(identity, redis.RedisError):
            learn_identity(self, identity)
        return answers

    def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        try:
            if self._execute_all is not None:
                return self._execute_all(commands)
            pipe = self.client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            return pipe.execute(raise_on_error=False)
        except redis.RedisError as error:
            raise translate_error(error, self.address) from error

    def load_scripts(self) -> None:
        """Load the scripts of producers, who may not: their rule has no command that executes a text of their own.

        Tickers and workers do so when they start, and whenever they find that the server has forgotten its scripts.
        """
        with suppress(JobistemerError):
            self._pipeline([("SCRIPT LOAD", script(name).text) for name in PRODUCER_SCRIPTS])

    def _load_scripts(self, calls: Any) -> None:
        self._pipeline([("SCRIPT LOAD", text) for text in {call.script.text for call in calls}])
        self.load_scripts()


Mend = Callable[[Database, Sequence[str]], bool]
"""Puts aside those of the keys that have the wrong type, and returns whether there were any."""


PutAside = Callable[[Database, Sequence[Unreadable]], None]
"""Puts members aside that cannot be read."""


def explain_refusal(call: ScriptCall, unknown: NoScriptError, refused: NoPermissionError) -> redis.RedisError:
    """Return the error to tell: a producer lacks the script, for all others it is a permission."""
    return unknown if call.script.name in PRODUCER_SCRIPTS else refused


def read_reply(call: ScriptCall, answer: Any) -> Reply:
    """Return the word and the values in the answer to a call, those of its extensions beside them.

    Raises AssertionError for a word that the script's header does not list.
    """
    if call.extensions:
        parts = zip((call._replace(extensions=()), *call.extensions), answer, strict=True)
        first, *others = (read_reply(part, part_answer) for part, part_answer in parts)
        return first._replace(extensions=tuple(others))
    word, values = (answer[0], answer[1:]) if isinstance(answer, list) else (answer, [])
    text = word.decode() if isinstance(word, bytes) else str(word)
    if text not in call.script.header.words:
        raise AssertionError(f"{call.script.name} answered {text!r}, which its header does not list")
    return Reply(text, values)


def read_time_ms(answer: Sequence[bytes]) -> float:
    """Return the server time in Unix milliseconds that TIME has answered."""
    seconds, micros = answer
    return int(seconds) * 1000 + int(micros) / 1000


def _mend(database: Database, keys: Sequence[Any]) -> bool:
    """Put aside those of the keys that have the wrong type. Returns whether there were any."""
    return database.mend is not None and database.mend(database, [key for key in keys if isinstance(key, str)])


def _empty_answer(command: Command) -> Any:
    """Return what the server answers to a command that reads a key which is not there."""
    name = str(command[0]).upper()
    if name in _NUMBERS:
        return 0
    if name in _NOTHINGS:
        return None
    if name in ("HMGET", "ZMSCORE"):
        return [None] * (len(command) - 2)
    return {} if name == "HGETALL" else []


def _execute_unknown(database: Database, call: ScriptCall, unknown: NoScriptError) -> Any:
    """Execute a script that the server does not know by its text."""
    try:
        return database.client.eval(call.script.text, len(call.keys), *call.keys, *call.args)
    except NoPermissionError as refused:
        raise explain_refusal(call, unknown, refused) from None


def _retry_refused(
    database: Database, calls: Sequence[ScriptCall], commands: Sequence[Command], answers: list[Any]
) -> None:
    """Send those calls again that the server did not know, or that met a key of the wrong type."""
    for _ in range(TRIES):
        # After each load: on a cluster the shard may have moved to a node that does not know them either.
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if not unknown:
            break
        database._load_scripts(calls[index] for index in unknown)  # noqa: SLF001 - a part of the class
        again = database._pipeline([commands[index] for index in unknown])  # noqa: SLF001 - as above
        for index, answer in zip(unknown, again, strict=True):
            answers[index] = answer
    _mend_answers(database, commands, [each.keys for each in calls], answers)


def _mend_answers(
    database: Database, commands: Sequence[Command], keys: Sequence[Sequence[Any]], answers: list[Any]
) -> None:
    """Send those commands once more that met a key of the wrong type, after it was put aside."""
    if database.mend is None:
        return
    refused = [index for index, answer in enumerate(answers) if isinstance(answer, redis.ResponseError)]
    wrong = [index for index in refused if is_wrong_type(answers[index])]
    if wrong and _mend(database, [key for index in wrong for key in keys[index]]):
        again = database._pipeline([commands[index] for index in wrong])  # noqa: SLF001 - a part of the class
        for index, answer in zip(wrong, again, strict=True):
            answers[index] = answer


def compare_identity(database: Database) -> None:
    """Ask for the identity of a shard and compare it, as `call` does along with a call. Raises NotConnected."""
    # The rule of a user may be older than this question; then nothing is known.
    with suppress(ServerRefused):
        learn_identity(database, database.ask("GET", database.keys.identity))


def learn_identity(database: Database, found: bytes | None) -> None:
    """Log that a shard has another identity than this process has read before."""
    known, database.identity = database.identity, found
    if known is not None and known != found:
        log.error(
            "%s at %s was emptied, or another server has taken its place: runs and jobs of before are gone; "
            "`jobistemer deploy` brings back the jobs",
            database.keys.tag,
            database.address,
        )
