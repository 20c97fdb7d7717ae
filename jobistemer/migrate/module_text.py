"""Write what was found as a Python module of tasks and jobs, which belongs to the application from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jobistemer.core.errors import InvalidInput
from jobistemer.migrate.found import Found, FoundJob, FoundTask, Verdict
from jobistemer.migrate.names import build_identifier
from jobistemer.migrate.source_text import Imports, write_value

_HEAD = '''"""Tasks and jobs of {source}.

`jobistemer migrate` has written this file; it is yours: change it as you like.
"""

from __future__ import annotations
'''
_WIDTH = 120


class _Module:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.imports = Imports()
        self.taken = {"app", "Any"}
        self.parts: list[str] = []

    def call(self, head: str, first: tuple[str, ...], given: Mapping[str, Any], tail: str = "") -> str:
        """Return a call with keyword arguments, on several lines where one is too long."""
        arguments = [*first, *(f"{name}={write_value(value, self.imports)}" for name, value in given.items())]
        one = f"{head}({', '.join(arguments)}){tail}"
        if len(one) <= _WIDTH:
            return one
        lines = "".join(f"    {argument},\n" for argument in arguments)
        return f"{head}(\n{lines}){tail}"

    def refer(self, task: FoundTask) -> str:
        """Return the text by which the module refers to a function of the application."""
        module, _, attribute = task.reference.partition(":")
        return f"{self.imports.add(module)}.{attribute}"

    def declare(self, task: FoundTask, head: str, first: tuple[str, ...], given: Mapping[str, Any]) -> None:
        """Add the declaration of a function: as it is, or below a wrapper where the engine passes a first argument."""
        name = build_identifier(task.name, self.taken)
        if task.call == "plain":
            self.parts.append(self.call(f"{name} = {head}", first, given, f"({self.refer(task)})"))
            return
        self.imports.add("typing", "Any")
        given_names = [parameter.partition(":")[0] for parameter in task.parameters]
        decorator = self.call(f"@{head}", first, given)
        first_argument = ["{}"] if task.call == "arq" else []
        handed = ", ".join([*first_argument, *(f"{each}={each}" for each in given_names)])
        kind, waits = ("def", "") if task.call == "wrapped" else ("async def", "await ")
        body = f"    return {waits}{self.refer(task)}({handed})"
        function = f"{kind} {name}({', '.join(task.parameters)}) -> Any:\n{body}"
        self.parts.append(f"\n{decorator}\n{function}\n")

    def write_task(self, task: FoundTask) -> None:
        """Add the declaration of a task."""
        self.declare(task, "app.task", (), {"name": task.name, **task.options})

    def write_job(self, job: FoundJob) -> None:
        """Add the declaration of a job."""
        given: dict[str, Any] = {"name": job.name}
        given |= {"payload": dict(job.payload)} if job.payload else {}
        given |= {"calendars": job.calendars} if job.calendars else {}
        named = FoundTask(job.name, job.task.reference, job.task.call, job.task.parameters)
        self.declare(named, "app.job", (write_value(job.schedule, self.imports),), given | dict(job.options))


def write_module(found: Found) -> str:
    """Return the source of a module that declares the tasks and jobs. What cannot be written becomes a remark."""
    module = _Module(found)
    module.imports.add("jobistemer", "Jobistemer")
    for task in found.tasks:
        module.write_task(task)
    names = {task.name for task in found.tasks}
    for job in list(found.jobs):
        # The function of a job is a task by the job's name.
        named = msgspec.structs.replace(job, name=f"{job.name}-schedule") if job.name in names else job
        try:
            module.write_job(named)
        except InvalidInput as error:
            found.jobs.remove(job)
            found.remark(f"schedule {job.name!r}", Verdict.NO_EQUAL, str(error))
    head = _HEAD.format(source=found.source)
    body = "\n\n".join(["app = Jobistemer()", *module.parts])
    return f"{head}\n{module.imports.write()}\n\n{body}\n".replace("\n\n\n\n", "\n\n\n").rstrip("\n") + "\n"
