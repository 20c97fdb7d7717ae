"""The application of the process in test_pydantic_ai.py: an agent whose worker is killed between its two tool calls."""

import os
import signal
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from jobistemer import NO_RETRIES, Context, Jobistemer
from jobistemer.contrib.pydantic_ai import JobistemerDurability, durable_agents

app = Jobistemer()
LEDGER = Path(os.environ.get("AGENT_LEDGER", os.devnull))


def note(text: str) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(f"{text}\n")


def answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    """Ask for two tools, one after the other, and then say what they gave; die once before the second."""
    note("model")
    returned = [part.content for each in messages for part in each.parts if isinstance(part, ToolReturnPart)]
    if len(returned) == 1 and LEDGER.read_text().count("charge") == 0 and LEDGER.read_text().count("model") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if len(returned) < 2:
        name = ("search", "charge")[len(returned)]
        return ModelResponse(
            parts=[ToolCallPart(name, {"number": len(returned)}, tool_call_id=f"call-{len(returned)}")]
        )
    return ModelResponse(parts=[TextPart(" and ".join(map(str, returned)))])


agent = Agent(FunctionModel(answer), name="shop", capabilities=[JobistemerDurability()])


@agent.tool_plain
def search(number: int) -> str:
    """A tool whose effect is a line in the ledger."""
    note("search")
    return f"found {number}"


@agent.tool_plain
def charge(number: int) -> str:
    """Another one."""
    note("charge")
    return f"charged {number}"


@app.task(retry=NO_RETRIES)
async def shop(ctx: Context) -> str:
    """Let the agent work."""
    with durable_agents(ctx):
        return (await agent.run("buy it")).output
