"""Tasks and calls: enqueue from anywhere, wait for a result, delay, priority, only once.

jobistemer dev workers.basic:app
python -m workers.basic                (in another terminal)
"""

from __future__ import annotations

from jobistemer import Jobistemer

app = Jobistemer()


@app.task
def greet(name: str) -> str:
    """Return a greeting."""
    return f"Hello, {name}!"


@app.task
async def add(x: int, y: int) -> int:
    """Coroutine functions are tasks like any other; they share the worker's event loop."""
    return x + y


def main() -> None:
    """Enqueue some calls, and print what comes back."""
    first = greet.enqueue("Ann")
    urgent = greet.options(priority=9).enqueue("Bob")
    later = add.options(delay=1.5).enqueue(2, 3)
    only = [greet.options(unique="order-7").enqueue("Cid") for _ in range(3)]
    print(first.result(timeout=10))
    print(urgent.result(timeout=10))
    print(later.result(timeout=10))
    print(f"{len({run.id for run in only})} run for three calls with one key")


if __name__ == "__main__":
    main()
