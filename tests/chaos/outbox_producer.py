"""Commits orders with their calls, and rolls every fifth one back; goes on behind the last that is committed.

python -m tests.chaos.outbox_producer COUNT
"""

from __future__ import annotations

import sys

from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.chaos.outbox_app import engine, note, orders, outbox


def store(number: int) -> None:
    """One transaction: an order and its call, or neither."""
    with Session(engine) as session:
        run = outbox.enqueue(session, note, number=number)
        session.execute(insert(orders).values(number=number, run_id=run.id))
        if number % 5 == 0:
            session.rollback()
        else:
            session.commit()


def main() -> None:
    """Store orders up to a number. After a lost connection the table tells what was committed."""
    last, number = int(sys.argv[1]), read_last()
    while number < last:
        try:
            store(number + 1)
            number += 1
        except DBAPIError:
            number = max(number, read_last())


def read_last() -> int:
    """The last order that is committed, as soon as the database answers."""
    while True:
        try:
            with engine.connect() as connection:
                return connection.scalar(select(func.max(orders.c.number))) or 0
        except DBAPIError:
            continue


if __name__ == "__main__":
    main()
