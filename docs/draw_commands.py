"""Draw docs/reference/commands.md from the commands themselves, so that the page cannot go stale.

python docs/draw_commands.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from jobistemer.cli import main
from jobistemer.cli.commands.ticker import ticker_command
from jobistemer.cli.commands.worker import worker_command

PAGE = Path(__file__).parent / "reference" / "commands.md"

HEAD = """# Commands

Drawn from the commands by `docs/draw_commands.py`. `jobistemer … --help` says the same.

Every command of `jobistemer` that answers has `--json`: one JSON value on standard output, the same fields that the API has; what is
said for people goes to standard error. Instants in it are texts of RFC 3339 with a zone (`2027-01-15T08:00:00.123Z`), durations are
milliseconds and say so in their names (`took_ms`), and what is absent is null. Only definitions of jobs are shown as they were declared,
with options such as `timeout_s`.

Every list says how many there are in all. In JSON it is an object: the rows under their plural (`jobs`, `runs`, `dead_letters` …), `total`,
`total_is_exact` (false where a count was ended at its bound: there are at least so many, and tables say `≥`), and `next`: the options
that show what follows, such as `{"offset": 100}` or `{"after": "tenant-7"}`, null at the end.

```console
$ jobistemer job list --json | jq -r '.jobs[].name, .next'
```

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | refused, not found, not connected, an app or a pyproject.toml that cannot be used, or the answer is no: one line on standard error says why. `audit` found something; `run cancel` and `occurrence cancel` came too late; a worker ended because it was no longer well |
| 2 | wrong usage: an unknown option, or a value that cannot be accepted, whoever finds out: click, Jobistemer or the server. A queue, a task or a limit that nobody knows, without `--force` |
| 3 | `deploy --keep-newer`: a newer release has registered some of the jobs |
| 4 | `deploy --dry-run`: changes are pending. 0 says that there are none |
| 130 | ended by Ctrl-C |

**Completion** of commands and options in a shell, to be put into its start-up file:

```console
$ eval "$(_JOBISTEMER_COMPLETE=bash_source jobistemer)"                   # bash; zsh_source for zsh
$ eval "$(_JOBISTEMER_WORKER_COMPLETE=bash_source jobistemer-worker)"
$ _JOBISTEMER_COMPLETE=fish_source jobistemer | source                    # fish
```

Options that say which server is meant, and options of the processes, can come from the environment and from pyproject.toml as well: see
[settings](settings.md).
"""


def page() -> str:
    """The whole page."""
    processes = [("jobistemer-worker", worker_command), ("jobistemer-ticker", ticker_command)]
    every = [*processes, *leaves("jobistemer", main)]
    index = [f"- [`{name}`](#{name.replace(' ', '-')}): {first_sentence(command)}" for name, command in every]
    return "\n".join([HEAD, *index, "", *(section(name, command) for name, command in every)])


def leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group with its full name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for each in command.list_commands(context):
        found = command.get_command(context, each)
        if found is not None:
            yield from leaves(f"{name} {each}", found)


def first_sentence(command: click.Command) -> str:
    """What a command is, in a line."""
    return words(command).split("\n\n")[0].replace("\n", " ").partition(". ")[0].removesuffix(".")


def words(command: click.Command) -> str:
    """The help of a command."""
    return inspect.cleandoc(command.help or "")


def section(name: str, command: click.Command) -> str:
    """One command."""
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    usage = " ".join([name, "[OPTIONS]", *(argument(each) for each in arguments)])
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    rows = [f"| {option(each)} | {text(each)} |" for each in options]
    table = ["| option | |", "| --- | --- |", *rows, ""] if rows else []
    return "\n".join([f"## {name}", "", f"    {usage}", "", words(command), "", *table])


def argument(found: click.Argument) -> str:
    """An argument in a usage line."""
    name = found.metavar or (found.name or "").upper()
    return name if found.required or name.startswith("[") else f"[{name}]"


def option(found: click.Option) -> str:
    """The names of an option, and what it takes."""
    names = "`, `".join([*found.opts, *found.secondary_opts])
    if found.is_flag:
        return f"`{names}`"
    choices = "\\|".join(map(str, found.type.choices)) if isinstance(found.type, click.Choice) else ""
    return f"`{names}` {choices or found.metavar or found.type.name.upper()}"


def text(found: click.Option) -> str:
    """What an option means, with its default."""
    known = isinstance(found.default, int | float | str) and not found.is_flag and found.default != ""
    default = f" Default: `{found.default}`." if known and found.show_default else ""
    return f"{(found.help or '').rstrip('.')}.{default}".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
