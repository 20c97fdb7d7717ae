"""Names that begin alike are one row."""

from __future__ import annotations

import pytest

from jobistemer.core.reads.name_groups import group_names

TENANTS = [f"tenant-{number}" for number in range(12)]
REPORTS = [f"shop.{number}.{kind}" for number in range(3) for kind in ("daily", "weekly", "monthly", "yearly")]


@pytest.mark.parametrize(
    ("names", "inside", "groups", "alone"),
    [
        ([], "", {}, []),
        (["b", "a"], "", {}, ["a", "b"]),
        ([*TENANTS, "nightly", "tenant"], "", {"tenant-": 12}, ["nightly", "tenant"]),
        (TENANTS[:9], "", {}, TENANTS[:9]),
        # All names begin alike: the list is one row, and inside of it the names are listed
        (TENANTS, "", {"tenant-": 12}, []),
        (TENANTS, "tenant-", {}, sorted(TENANTS)),
        # A part that all have in common is opened
        ([f"eu-{each}" for each in [*TENANTS, *REPORTS]], "", {"eu-shop.": 12, "eu-tenant-": 12}, []),
        ([*TENANTS, *REPORTS], "", {"shop.": 12, "tenant-": 12}, []),
        # Too few in each part: inside of the group they are listed one by one
        (REPORTS, "shop.", {}, sorted(REPORTS)),
        ([f"a-{number}-" for number in range(10)], "a-", {}, sorted(f"a-{number}-" for number in range(10))),
        ([f"{number}" for number in range(20)], "", {}, sorted(f"{number}" for number in range(20))),
        (["-" * 20] * 1 + TENANTS, "nobody-", {}, []),
    ],
)
def test_names_that_begin_alike_are_a_group_and_no_name_is_lost(names, inside, groups, alone):
    found = group_names(names, inside)
    assert ({start: len(own) for start, own in found.groups.items()}, found.alone) == (groups, alone)
    members = [name for own in found.groups.values() for name in own]
    assert sorted([*members, *found.alone]) == sorted(each for each in names if each.startswith(inside))
    assert all(name.startswith(start) for start, own in found.groups.items() for name in own)


class Looked(str):
    """A name that counts how often its beginning is compared."""

    times = 0
    __slots__ = ()

    def startswith(self, *given):
        Looked.times += 1
        return super().startswith(*given)


def test_each_name_is_compared_once_however_many_groups_there_are():
    names = [Looked(f"tenant{tenant}-job{number}") for tenant in range(2_000) for number in range(10)]
    Looked.times = 0
    found = group_names(names)
    assert (len(found.groups), found.groups["tenant7-"]) == (2_000, [f"tenant7-job{number}" for number in range(10)])
    assert Looked.times == len(names)
