"""Agents of Pydantic AI whose model requests and tool calls are steps of a durable handler.

agent = Agent("openai:gpt-5", name="research", capabilities=[JobistemerDurability()])

@app.task
async def research(topic: str, ctx: Context) -> str:
    with durable_agents(ctx):
        return (await agent.run(topic)).output

A worker may die between two calls: the next attempt gets the answers that are on record and repeats none of them. Tools
may wait for people: outside of the agent's run, by `ctx.wait_for`. Needs the extra `pydantic-ai`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationBackend,
    DurableOperationId,
    JournalCallableOperationBackend,
    RoleBasedOperationConfig,
)

from jobistemer.core.errors import InvalidStep
from jobistemer.core.handlers.context import Context
from jobistemer.core.jobs.retries import RetryPolicy

StepRetry = RetryPolicy | None


class _AgentRuns:
    """The runs of agents within one attempt: how often each of their steps was asked for."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.counts: Counter[str] = Counter()

    def number(self, name: str) -> int:
        self.counts[name] += 1
        return self.counts[name]


_CURRENT: ContextVar[_AgentRuns | None] = ContextVar("jobistemer_agents", default=None)


@contextmanager
def durable_agents(ctx: Context) -> Iterator[None]:
    """Make the model requests and tool calls of agents steps of this handler, while the block lasts.

    Raises InvalidStep within another such block.
    """
    if _CURRENT.get() is not None:
        raise InvalidStep("durable_agents stands within another one: one block for each handler")
    token = _CURRENT.set(_AgentRuns(ctx))
    try:
        yield
    finally:
        _CURRENT.reset(token)


class JobistemerDurability(BaseDurabilityCapability[Any]):
    """The capability that makes an agent durable within `durable_agents`; outside of it the agent is as it was."""

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="Jobistemer",
        durable_unit_noun="step",
        durable_container_noun="handler",
        codec=JSON_CODEC,
        # Steps are found by name and number: in the same order in each attempt.
        sequential_tools_in_durable_context=True,
        tool_config_key="jobistemer",
    )

    def __init__(self, *, model_retry: StepRetry = None, tool_retry: StepRetry = None, **options: Any) -> None:
        """Create the capability.

        model_retry, tool_retry: the `retry=` of the steps; by default the run's policy decides. options: those of
        BaseDurabilityCapability, such as `name` and `models`.
        """
        super().__init__(**options)
        self._model_retry, self._tool_retry = model_retry, tool_retry

    @property
    def in_durable_context(self) -> bool:
        """Return whether the code runs in a block of `durable_agents`."""
        return _CURRENT.get() is not None

    def get_default_run_id(self) -> str | None:
        """Return the id of the agent's run, the same in each attempt."""
        runs = _CURRENT.get()
        return None if runs is None else f"{runs.ctx.run}:{runs.number('agent run')}"

    def get_durable_operation_backend(self) -> DurableOperationBackend[StepRetry]:
        """Return what executes the agent's operations as steps."""
        config = RoleBasedOperationConfig[StepRetry](
            model=self._model_retry, event=None, capability=self._tool_retry, tool=self._tool_retry
        )
        return _StepBackend(agent_name=self.name or "agent", config=config)


class _StepBackend(JournalCallableOperationBackend[StepRetry]):
    async def execute(
        self,
        *,
        operation_id: DurableOperationId,  # noqa: ARG002 - the shape of the backend
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],  # noqa: ARG002 - the shape of the backend
        config: StepRetry,
    ) -> object:
        """Execute an operation as a step, numbered among those of its name."""
        runs = _CURRENT.get()
        if runs is None:
            return await body()

        async def call() -> Any:
            return await body()

        number = runs.number(name)
        if config is None:
            return await runs.ctx.step_async(name, call, key=number)
        return await runs.ctx.step_async(name, call, key=number, retry=config)
