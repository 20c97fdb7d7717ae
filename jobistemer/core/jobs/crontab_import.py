r"""Crontabs, read as cron reads them: the jobs they stand for, and the lines that no job can stand for.

    5 0 * * *  backup --all            a user's crontab
    5 0 * * *  root  backup --all      the system's: /etc/crontab, /etc/cron.d/*

Environment lines hold for the lines below them. In a command the first `%` ends it and begins its standard input,
further ones are line ends there, and `\%` is a percent sign.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from hashlib import sha1

import msgspec

from jobistemer.core.builtin_tasks import SHELL_TASK
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.jobs.options import Options
from jobistemer.core.jobs.retries import Exponential
from jobistemer.core.schedules import Cron

_VARIABLE = re.compile(r"""\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*|"[^"]*"|'[^']*')\s*=\s*(?P<value>.*?)\s*""", re.DOTALL)
_MACRO = re.compile(r"\s*(?P<schedule>@\w+)\s+(?P<rest>.*)", re.DOTALL)
_FIELDS = re.compile(r"\s*(?P<schedule>(?:\S+\s+){5})(?P<rest>.*)", re.DOTALL)
_USER = re.compile(r"(?P<user>\S+)\s+(?P<rest>.*)", re.DOTALL)
_IGNORED = {
    "MAILTO": "output is kept with each run instead of being mailed",
    "MAILFROM": "nothing is mailed",
    "CONTENT_TYPE": "nothing is mailed",
    "CONTENT_TRANSFER_ENCODING": "nothing is mailed",
    "LOGNAME": "it follows from the user",
}
RETRIES = Exponential(max_retries=3, first_s=60.0, cap_s=3600.0)
DEFAULT_SHELL = "/bin/sh"


class CrontabFormat(StrEnum):
    """The format of a crontab: a system's crontab names a user on each line."""

    USER = "user"
    SYSTEM = "system"


class ImportNote(msgspec.Struct, frozen=True):
    """A remark about a line; refused: no job was made of the line."""

    line: int
    text: str
    refused: bool = False


class CrontabImport(msgspec.Struct, frozen=True):
    """The jobs of a crontab, and the remarks about its lines."""

    jobs: list[Job]
    notes: list[ImportNote]


class _Environment:
    """The environment lines that were read so far."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.shell = DEFAULT_SHELL
        self.timezone = "UTC"

    def set_variable(self, name: str, value: str) -> str:
        """Set a variable. Returns a remark about it, empty for none."""
        if name in _IGNORED:
            return f"{name} is ignored: {_IGNORED[name]}" if value or name != "MAILTO" else ""
        if name == "SHELL":
            self.shell = value
        elif name == "CRON_TZ":
            self.timezone = value
        else:
            self.env[name] = value
        return ""


def read_crontab(text: str, source: str, form: CrontabFormat, timezone: str = "UTC") -> CrontabImport:
    """Read the jobs of a crontab.

    source: the name of the crontab, with which the jobs' names begin. timezone: of the times where no CRON_TZ names
    one. The same text gives the same names.
    """
    environment, jobs, notes, names = _Environment(), [], [], Counter[str]()
    environment.timezone = timezone
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if variable := _VARIABLE.fullmatch(line):
            remark = environment.set_variable(_unquote(variable["name"]), _unquote(variable["value"]))
            notes += [ImportNote(number, remark)] if remark else []
            continue
        try:
            job = _build_job(line, source, form, environment)
        except ValueError as error:
            notes.append(ImportNote(number, str(error), refused=True))
            continue
        names[job.name] += 1
        if names[job.name] > 1:
            job = msgspec.structs.replace(job, name=f"{job.name}-{names[job.name]}")
        jobs.append(job)
    return CrontabImport(jobs, notes)


def guess_format(path: str) -> CrontabFormat:
    """Guess the format of a crontab from its path."""
    is_system = path == "/etc/crontab" or path.startswith("/etc/cron.d/")
    return CrontabFormat.SYSTEM if is_system else CrontabFormat.USER


def source_name(path: str) -> str:
    """Return the name of a file in letters that a job's name may have; jobs of the file begin with it."""
    return _slug(path.rstrip("/").rpartition("/")[2]) or "crontab"


def split_command(text: str) -> tuple[str, str]:
    """Split the text of a crontab line into command and standard input, by the rules for `%`."""
    parts = re.split(r"(?<!\\)%", text)
    command, *rest = (part.replace("\\%", "%") for part in parts)
    return command.strip(), "\n".join(rest) + "\n" if rest else ""


def _build_job(line: str, source: str, form: CrontabFormat, environment: _Environment) -> Job:
    match = _MACRO.fullmatch(line) or _FIELDS.fullmatch(line)
    if match is None:
        raise ValueError(f"{line.strip()[:80]!r} has no five fields of time and a command")
    expression, rest, user = " ".join(match["schedule"].split()), match["rest"], None
    if expression == "@reboot":
        raise ValueError("@reboot names no instant: a cluster does not boot; let the service manager of the host do it")
    if form is CrontabFormat.SYSTEM:
        named = _USER.fullmatch(rest)
        if named is None:
            raise ValueError(f"{rest[:80]!r} has no user and command; a user's crontab is imported with --user")
        user, rest = named["user"], named["rest"]
    command, stdin = split_command(rest)
    if not command:
        raise ValueError("there is no command")
    try:
        schedule = Cron(expression, timezone=environment.timezone)
    except InvalidSchedule as error:
        raise ValueError(str(error)) from None
    payload = {"command": command, "stdin": stdin, "env": environment.env, "shell": environment.shell, "user": user}
    given = {name: value for name, value in payload.items() if value and (name, value) != ("shell", DEFAULT_SHELL)}
    task = Task("command", SHELL_TASK, msgspec.Raw(msgspec.json.encode(given)), options=Options(retry=RETRIES))
    return Job(_build_job_name(source, user, command), schedule, (task,), description=f"{source}: {command}"[:200])


def _build_job_name(source: str, user: str | None, command: str) -> str:
    # The name leaves out the schedule, so that a line with a changed schedule is a new version of the same job.
    digest = sha1(f"{user}\n{command}".encode(), usedforsecurity=False).hexdigest()[:6]
    words = [_slug(word.rpartition("/")[2]) for word in re.split(r"[\s;&|()]+", command) if re.match(r"[\w./]", word)]
    word = next((word for word in words if word and word not in ("cd", "test", "command", "root", "-")), "command")
    return f"{source[:60]}.{word[:40]}-{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
