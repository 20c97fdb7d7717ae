"""Groups of names that begin alike, such as `tenant-…`: one row of a long list in place of thousands."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Final, NamedTuple

SMALLEST: Final = 10
"""Fewer names that begin alike are listed one by one."""
_SEPARATOR: Final = re.compile(r"[-_.:/ ]")


class NameGroups(NamedTuple):
    """Names by their beginning. groups: the names that begin so, by the beginning; alone: all others, sorted."""

    groups: dict[str, list[str]]
    alone: list[str]


def group_names(names: Collection[str], inside: str = "") -> NameGroups:
    """Group the names that begin with `inside` by their next part, which ends with a separator (`- _ . : /`, space).

    A group that would have all names in it is opened: its parts are the groups.
    """
    within = [name for name in names if name.startswith(inside)]
    members: dict[str, list[str]] = defaultdict(list)
    for name in within:
        members[_find_start(name, inside)].append(name)
    groups = {start: own for start, own in sorted(members.items()) if start and len(own) >= SMALLEST}
    alone = sorted(name for start, own in members.items() if start not in groups for name in own)
    if len(groups) == 1 and not alone:
        opened = group_names(within, next(iter(groups)))
        # Names that differ in their last part are the group itself.
        return opened if opened.groups else NameGroups(groups, [])
    return NameGroups(groups, alone)


def _find_start(name: str, inside: str) -> str:
    """Return the beginning of a name up to the first separator behind `inside`; empty when nothing follows it."""
    found = _SEPARATOR.search(name, len(inside))
    return name[: found.end()] if found and found.end() < len(name) else ""
