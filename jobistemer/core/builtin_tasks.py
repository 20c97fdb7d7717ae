"""The built-in tasks: their names, for callers without the code behind them, and what a worker allows them.

A worker allows nothing unless its operator says so.
"""

from __future__ import annotations

import msgspec

SHELL_TASK = "shell"
HTTP_TASK = "http"
ANY_PROGRAM = "*"
"""Stands for every program in the list of allowed programs."""


class Permissions(msgspec.Struct, frozen=True):
    """Permissions of the built-in tasks.

    shell: names or paths of the programs that the task `shell` may start, `*` for all; empty allows none.
    shell_env: the names of the variables that a call of it may set.
    shell_pass_env: the names of further variables of the worker's own environment that its commands get.
    http_private: whether the task `http` may reach private, loopback and link-local addresses.
    """

    shell: tuple[str, ...] = ()
    shell_env: tuple[str, ...] = ()
    shell_pass_env: tuple[str, ...] = ()
    http_private: bool = False
