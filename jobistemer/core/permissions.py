"""What a worker allows the built-in tasks: nothing, unless its operator says so."""

from __future__ import annotations

import msgspec

ANYTHING = "*"
"""Stands for every program in the list of allowed ones."""


class Permissions(msgspec.Struct, frozen=True):
    """shell: names or paths of programs that the task `shell` may start, `*` for all; empty allows none.

    http_private: whether the task `http` may reach private, loopback and link-local addresses.
    """

    shell: tuple[str, ...] = ()
    http_private: bool = False
