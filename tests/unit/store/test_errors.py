"""Each failure of a server names what there is to do, and whether it is the connection or a refusal."""

import re

import pytest
import redis

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.core.safe_text import hide_secrets
from jobistemer.store.errors import translate_error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (redis.ConnectionError("Error 111 connecting to h:1"), NotConnected, "Start one (`redis-server`"),
        (
            redis.ConnectionError("No master found for 'm' : Redis<…>"),
            NotConnected,
            "spelled as in their `sentinel monitor`",
        ),
        (redis.TimeoutError("Timeout connecting to server"), NotConnected, "does not speak TLS at this port"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), NotConnected, "this passes"),
        (
            redis.AuthenticationError("Authentication required."),
            ServerRefused,
            "It asks for a login: user and password stand in the URL before the host",
        ),
        (redis.AuthenticationError("invalid username-password pair"), ServerRefused, "User or password is wrong"),
        (redis.ReadOnlyError("READONLY You can't write"), ServerRefused, "It is a replica"),
        (redis.ResponseError("unknown command 'HGET'"), ServerRefused, "or it is a Sentinel: redis+sentinel://"),
        (
            redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
            ServerRefused,
            "`min-replicas-to-write`",
        ),
        (redis.ResponseError("MISCONF Errors writing to disk"), ServerRefused, "look at its log"),
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), ServerRefused, "memory limit"),
        (
            redis.exceptions.NoPermissionError("User a has no permissions to run 'get'"),
            ServerRefused,
            "`jobistemer acl ROLE`",
        ),
        (
            redis.exceptions.MovedError("1234 10.0.0.2:6379"),
            ServerRefused,
            "It is one node of a cluster: the URL begins with redis+cluster://",
        ),
        (redis.ResponseError("WRONGTYPE Operation"), ServerRefused, "refused a command: WRONGTYPE Operation"),
    ],
)
def test_a_failure_names_its_remedy(error, kind, words):
    found = translate_error(error, "rediss://h:1/0")
    assert isinstance(found, kind)
    # On the command line and in logs it is shown with its secrets hidden: the advice has to stay as it is.
    assert words in hide_secrets(str(found))
    # What the server says may end with a full stop, or not.
    assert not re.search(r"\.[.)]", str(found).replace("…", ""))
