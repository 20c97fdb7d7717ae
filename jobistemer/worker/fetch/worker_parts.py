"""The parts of one worker that its threads share, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.liveness import Liveness
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.continuity import Continuity
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.in_flight import Prefetch, RunningAttempts
from jobistemer.worker.fetch.fetcher import QueueOrder


class WorkerParts(NamedTuple):
    """What the fetching and the beating threads of a worker have in common; `id` is the worker's."""

    id: str
    settings: WorkerSettings
    handlers: Mapping[str, Handler]
    queue_order: QueueOrder
    prefetch: Prefetch
    attempts: RunningAttempts
    shutdown: Shutdown
    liveness: Liveness
    continuity: Continuity
    definitions: DefinitionCache
