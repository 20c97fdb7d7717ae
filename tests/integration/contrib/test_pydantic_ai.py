"""An agent on a scripted model: its model requests and tool calls are steps, and none of them is repeated."""

from __future__ import annotations

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from jobistemer import Context, Delays, Jobistemer
from jobistemer.contrib.pydantic_ai import JobistemerDurability, durable_agents
from jobistemer.store.reads.records import find_attempts
from jobistemer.testing import under_test
from tests.support.servers import VALKEY, running
from tests.support.worker_processes import running_worker


@pytest.fixture
def app():
    return Jobistemer("redis://127.0.0.1:1/0")


@pytest.fixture
def jobs(app):
    with under_test(app) as found:
        yield found


@pytest.fixture
def ledger():
    return []


@pytest.fixture
def agent(ledger):
    """An agent whose model asks for two tools, one after the other, and then says what they gave."""

    def answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        ledger.append("model")
        returned = [part.content for each in messages for part in each.parts if isinstance(part, ToolReturnPart)]
        if len(returned) < 2:
            name = ("search", "charge")[len(returned)]
            return ModelResponse(
                parts=[ToolCallPart(name, {"number": len(returned)}, tool_call_id=f"call-{len(returned)}")]
            )
        return ModelResponse(parts=[TextPart(" and ".join(map(str, returned)))])

    found = Agent(FunctionModel(answer), name="shop", capabilities=[JobistemerDurability()])

    @found.tool_plain
    def search(number: int) -> str:
        ledger.append("search")
        return f"found {number}"

    @found.tool_plain
    def charge(number: int) -> str:
        ledger.append("charge")
        if ledger.count("charge") == 1:
            raise OSError("the worker dies here")
        return f"charged {number}"

    return found


def test_an_agent_that_dies_between_two_tool_calls_repeats_neither_the_first_nor_a_request(app, jobs, agent, ledger):
    @app.task(retry=Delays((0, 0)))
    async def shop(ctx: Context) -> str:
        with durable_agents(ctx):
            return (await agent.run("buy it")).output

    run = shop.enqueue()
    jobs.advance(minutes=1, raise_on_failure=False)
    assert run.result() == "found 0 and charged 1"
    assert ledger == ["model", "search", "model", "charge", "charge", "model"]
    kinds = [each.name.partition("__")[2].partition("[")[0] for each in jobs.steps(run) if "get_tools" not in each.name]
    assert [each for each in kinds if each == "model.request"] == ["model.request"] * 3


@pytest.mark.process
@pytest.mark.slow
def test_an_agent_whose_worker_is_killed_between_two_tool_calls_goes_on_without_repeating_the_first(
    tmp_path, monkeypatch
):
    """I4, I5: the kill falls into the second model request, the only call that is made again."""
    ledger = tmp_path / "ledger"
    monkeypatch.setenv("AGENT_LEDGER", str(ledger))
    options = ("tests.integration.contrib.agent_app:app", "--lease", "1", "-c", "1")
    with running(VALKEY, tmp_path) as url, Jobistemer(url) as app, app.running(ticker=True):
        run = app.enqueue("shop")
        with running_worker(url, tmp_path / "victim.log", *options) as victim:
            assert victim.process.wait(60) == -9
        with running_worker(url, tmp_path / "heir.log", *options):
            assert run.result(timeout=60) == "found 0 and charged 1"
        assert [each.state for each in find_attempts(app.namespace.shards[0], run.record())] == ["lost", "succeeded"]
    assert ledger.read_text().split() == ["model", "search", "model", "model", "charge", "model"]


def test_outside_of_a_handler_the_agent_is_as_it_was(agent, ledger):
    with pytest.raises(OSError, match="dies"):
        agent.run_sync("buy it")
    assert ledger == ["model", "search", "model", "charge"]


def test_a_block_within_another_one_is_refused(app, jobs):
    @app.task
    async def shop(ctx: Context) -> None:
        with durable_agents(ctx), durable_agents(ctx):
            pass

    run = shop.enqueue()
    jobs.run_until_idle(raise_on_failure=False)
    assert "durable_agents stands within another one" in run.record().error
