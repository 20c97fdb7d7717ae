"""An attempt that needs the server while it is away waits for it."""

import asyncio

import pytest

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.worker.execute import server_wait
from jobistemer.worker.execute.server_wait import wait_for_server, wait_for_server_async


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(server_wait, "PAUSE_S", 0.0)


def raises_then_returns(*errors):
    left = list(errors)

    def step():
        if left:
            raise left.pop(0)
        return "there"

    return step


def test_a_step_is_called_until_the_server_is_there():
    assert wait_for_server(raises_then_returns(NotConnected("away"), NotConnected("away"))) == "there"
    assert (
        asyncio.run(wait_for_server_async(raises_then_returns(NotConnected("away"), NotConnected("away")))) == "there"
    )


def test_a_wait_that_has_an_end_ends_with_the_error():
    with pytest.raises(NotConnected, match="away"):
        wait_for_server(raises_then_returns(NotConnected("away")), 0.0)


def test_a_refusal_is_not_waited_out():
    with pytest.raises(ServerRefused):
        wait_for_server(raises_then_returns(ServerRefused("no")))
    with pytest.raises(ServerRefused):
        asyncio.run(wait_for_server_async(raises_then_returns(ServerRefused("no"))))
