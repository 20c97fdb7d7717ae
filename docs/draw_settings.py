"""Draw docs/reference/settings.md from the settings themselves, so that the page cannot go stale.

python docs/draw_settings.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from jobistemer.app import Jobistemer
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command
from jobistemer.core.jobs.options import DEFAULTS, Options
from jobistemer.core.settings import TICKER_RANGES, WORKER_RANGES, TickerSettings, WorkerSettings

PAGE = Path(__file__).parent / "reference" / "settings.md"

HEAD = """# Settings

Drawn from the settings by `docs/draw_settings.py`. What is said nearer to the process wins: constructor or command line, then the
environment, then the nearest pyproject.toml, then the default. What is out of range is refused when the process starts, with the
value and what is allowed.

## Connection

For every process and every command.

| constructor | option | environment | pyproject.toml | default | |
| --- | --- | --- | --- | --- | --- |
| `Jobistemer(url=…)` | `--url` | `JOBISTEMER_URL` | `[tool.jobistemer] url` | `redis://localhost:6379/0` | the server |
| `Jobistemer(namespace=…)` | `--namespace` | `JOBISTEMER_NAMESPACE` | `[tool.jobistemer] namespace` | `jobistemer` | what all keys begin with |
| `Jobistemer(shards=…)` | – | – | – | 1 | 1–1024, fixed by the first process of a namespace |
| `Jobistemer(sizes=Sizes(…))` | – | – | – | 256 KiB each | how large payloads and results may be |
| `Jobistemer(defaults=Options(…))` | – | – | – | see [below](#options-of-tasks) | options of every task |
| `Options(timeout_s=…)` in `defaults` | – | `JOBISTEMER_DEFAULT_TIMEOUT` | – | 300 | seconds, where the app sets none; so are those below |
| `Options(retry=…)` in `defaults` | – | `JOBISTEMER_DEFAULT_MAX_RETRIES` | – | 3 | number of retries |
| `Options(retention_s=…)` in `defaults` | – | `JOBISTEMER_DEFAULT_RETENTION` | – | 86400 | seconds |
| `Options(dead_retention_s=…)` in `defaults` | – | `JOBISTEMER_DEFAULT_DEAD_RETENTION` | – | 604800 | seconds |
| `Options(dead_letters=…)` in `defaults` | – | `JOBISTEMER_DEFAULT_DEAD_LETTERS` | – | yes | yes or no |
| – | `MODULE:APP` | `JOBISTEMER_APP` | `[tool.jobistemer] app` | – | the app that a command or a worker imports |
"""
COLUMNS = "| constructor | option | environment | pyproject.toml | default | range | |\n| --- | --- | --- | --- | --- | --- | --- |"
RENAMED = {
    "shell": "allow_shell",
    "shell_env": "allow_shell_env",
    "shell_pass_env": "pass_shell_env",
    "http_private": "allow_http_private",
}
SPECIAL = {"beat_s": "0.05 to a third of lease_s", "horizon_s": "pass_s–3600", "queues": "at least one; weights 0–1000"}
PROCESS = ("log_level", "log_format", "health_port", "health_host", "metrics", "processes", "watch")


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            *("## Workers", "", COLUMNS),
            *rows(WorkerSettings, worker_command, "worker", WORKER_RANGES),
            *processes(worker_command, "worker"),
            *(
                "",
                "`MODULE:APP` and `permissions` (`--allow-shell`, `--allow-shell-env`, `--pass-shell-env`, `--allow-http-private`) are given by name.",
                "",
            ),
            *("## Tickers", "", COLUMNS),
            *rows(TickerSettings, ticker_command, "ticker", TICKER_RANGES),
            *processes(ticker_command, "ticker"),
            *("", "## Options of tasks", ""),
            "They cascade: `Jobistemer(defaults=Options(…))`, `@app.job(…)`, `@app.task(…)`, the call.",
            "`app.effective_options` and `jobistemer job options` say what applies and which level says so.",
            *("", "| option | default | |", "| --- | --- | --- |"),
            *(f"| `{name}` | {shown(getattr(DEFAULTS, name))} | {what} |" for name, what in meanings(Options).items()),
            "",
        ]
    )


def rows(
    settings: type[msgspec.Struct],
    command: click.Command,
    section: str,
    ranges: Mapping[str, tuple[float, float]],
) -> Iterable[str]:
    """One row for each setting of a process."""
    options = {each.name: each for each in command.params if isinstance(each, click.Option)}
    meant, values = meanings(settings), msgspec.structs.asdict(settings())
    for name, value in values.items():
        if name == "permissions":
            continue
        found = options.get(name.removesuffix("_s")) or options.get(name)
        given = [f"`{settings.__name__}({name}=…)`", *places(found, section)]
        allowed = SPECIAL.get(name) or ("{:.12g}–{:.12g}".format(*ranges[name]) if name in ranges else "–")
        yield f"| {' | '.join([*given, shown(value), allowed, meant[name]])} |"


def processes(command: click.Command, section: str) -> Iterable[str]:
    """One row for each option of a process that is no setting of its role."""
    for each in command.params:
        if isinstance(each, click.Option) and each.name in (*PROCESS, *RENAMED.values()):
            # Not `each.default`, which is a mark of click's own where there is none.
            default = "–" if each.is_flag else shown(each.to_info_dict()["default"])
            yield f"| – | {' | '.join([*places(each, section), default])} | – | {(each.help or '').rstrip('.')} |"


def places(found: click.Option | None, section: str) -> list[str]:
    """Option, environment variable and key of a file."""
    if found is None:
        return ["–"] * 3
    name = next(each for each in found.opts if each.startswith("--"))
    variable = f"JOBISTEMER_{(found.name or '').upper()}"
    return ["`" + "`, `".join(found.opts) + "`", f"`{variable}`", f"`[tool.jobistemer.{section}] {name[2:]}`"]


def shown(value: Any) -> str:
    """A default as it would be written."""
    if value in ("", (), None, False):
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"`{name}`" for name in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def meanings(settings: type[msgspec.Struct]) -> dict[str, str]:
    """What the docstring says of each field: `name: text` or `name, name: text`."""
    text = " ".join(inspect.cleandoc(settings.__doc__ or "").partition("\n\n")[2].split())
    name = "|".join(settings.__struct_fields__)
    pieces = re.split(rf"(?:^| )((?:{name})(?:, (?:{name}))*): ", text.partition(" Raises ")[0])
    found: dict[str, str] = {}
    for names, said in zip(pieces[1::2], pieces[2::2], strict=True):
        found |= dict.fromkeys(names.split(", "), said.strip().rstrip(".;").replace("|", "\\|"))
    return {field: found[field] for field in settings.__struct_fields__}


def constructor() -> list[str]:
    """What an app is made with; the page speaks of each."""
    return [name for name in inspect.signature(Jobistemer).parameters if name != "self"]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
