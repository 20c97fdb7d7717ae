"""What connections of event loops send is what redis-py would send."""

import asyncio

import pytest
import redis.asyncio
from redis.exceptions import DataError

from jobistemer.store.server.packed_connection import PACKED, PackedConnection

COMMANDS = [
    ("PING",),
    ("SCRIPT LOAD", "return 1"),
    ("EVALSHA", "a" * 40, 2, "{x}:a", "{x}:b", b"\x00\xff", "gruß", 7, -1, 0.5, ""),
    ("SET", "key", "x" * 100_000),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_is_packed_as_redis_py_packs_it(command):
    own, theirs = PackedConnection(), redis.asyncio.Connection()
    assert b"".join(own.pack_command(*command)) == b"".join(theirs.pack_command(*command))


def test_an_argument_that_has_no_form_is_refused_by_name():
    with pytest.raises(DataError):
        PackedConnection().pack_command("SET", "key", None)


def test_every_kind_of_connection_has_one_that_packs():
    assert all(issubclass(own, theirs) for theirs, own in PACKED.items())


def test_what_the_system_does_not_take_at_once_is_waited_for():
    async def story() -> bytes:
        received, done = bytearray(), asyncio.Event()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while part := await reader.read(65_536):
                received.extend(part)
            done.set()
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        connection = PackedConnection()
        connection._reader, connection._writer = reader, writer
        await connection.send_packed_command([b"small"])
        await connection.send_packed_command([b"x" * 20_000_000])
        # It has waited until there was room again
        assert writer.transport.get_write_buffer_size() <= 65_536
        writer.close()
        await done.wait()
        server.close()
        return bytes(received)

    assert asyncio.run(story()) == b"small" + b"x" * 20_000_000
