"""Names that begin alike are one row."""

from __future__ import annotations

import pytest

from jobistemer.core.reads.name_groups import NameGroups, group_names

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
    assert found == NameGroups(groups, alone)
    assert sum(found.groups.values()) + len(found.alone) == len([each for each in names if each.startswith(inside)])
