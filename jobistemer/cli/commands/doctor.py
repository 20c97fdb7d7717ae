"""`jobistemer doctor`: check the server and the namespace. `jobistemer acl`: print the rights that each role needs."""

from __future__ import annotations

import click

from jobistemer.cli.session import Session, with_session
from jobistemer.core.reads.findings import Level
from jobistemer.store.acl import ROLES, build_rule
from jobistemer.store.reads.doctor import diagnose
from jobistemer.terminal import tables

DEFAULT_KEYS = 100_000
"""How many keys of each shard are checked for leaks by default."""


@click.command("doctor")
@click.option(
    "--keys",
    type=click.IntRange(0),
    default=DEFAULT_KEYS,
    show_default=True,
    help="Number of keys of each shard to check for leaks; 0 for none.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 for warnings too.")
@click.option("--acl", "with_rules", is_flag=True, help="Print the least-privilege ACL rule of each role too.")
@with_session
def doctor_command(session: Session, keys: int, *, strict: bool, with_rules: bool) -> None:
    """Check the server and the namespace; nothing is changed.

    Each finding names the value found and what to do. Exit code 1 when there is a fault.
    """
    found = diagnose(session.namespace, keys)
    rules = {role: " ".join(build_rule([role], session.namespace.name)) for role in ROLES} if with_rules else {}
    answer = {"findings": found, "acl": rules} if with_rules else {"findings": found}
    rows = [(each.check, tables.style_state(each.level), each.value, each.remedy) for each in found]
    table = tables.table(("check", "", "found", "what to do"), rows)
    if session.namespace.cluster is not None:
        node_rows = [(each.node, *row) for each, row in zip(found, rows, strict=True)]
        table = tables.table(("node", "check", "", "found", "what to do"), node_rows)
    session.print_answer(
        answer, lambda: tables.stack(table, *(tables.multiline(f"{n}: {text}") for n, text in rules.items()))
    )
    levels = {each.level for each in found}
    if Level.FAULT in levels or (strict and Level.WARNING in levels):
        raise click.exceptions.Exit(1)


@click.command("acl")
@click.argument("roles", nargs=-1, type=click.Choice(tuple(ROLES)))
@click.option("--redis-6", is_flag=True, help="Print a weaker rule, which Redis 6.2 understands.")
@with_session
def acl_command(session: Session, roles: tuple[str, ...], *, redis_6: bool) -> None:
    """Print the least-privilege ACL rule of a role, of several roles together, or of each role.

    Use it as `redis-cli ACL SETUSER worker on '>password' $(jobistemer acl worker)`, in a shell that does not expand
    braces and stars (`set -f`). This command does not connect to the server.
    """
    name = session.namespace.name
    if roles:
        text = " ".join(build_rule(roles, name, selectors=not redis_6))
        session.print_answer({"roles": roles, "rule": text}, lambda: tables.multiline(text))
        return
    rules = [
        {"role": each, "what": role.description, "rule": " ".join(build_rule([each], name, selectors=not redis_6))}
        for each, role in ROLES.items()
    ]
    rows = [(each["role"], f"{each['what']}\n{each['rule']}") for each in rules]
    session.print_answer(rules, lambda: tables.properties(rows))
