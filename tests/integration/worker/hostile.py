"""The application of the zoo: handlers that do what no handler should. Each leaves only what is written beside it."""

import asyncio
import atexit
import ctypes
import inspect
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from jobistemer import NO_RETRIES, Context, Exponential, Fail, Jobistemer, Options, Retry

RETRIES = Exponential()
app = Jobistemer(defaults=Options(retry=NO_RETRIES, timeout_s=30))


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


class Liar(Exception):
    """Says that it is something else, and lies about what it holds."""

    @property
    def __class__(self):
        raise SystemExit("who asks?")

    args = property(lambda self: os._exit)


class Impostor(Retry):
    def __init__(self):
        super().__init__("again")
        self.after_ms = "as soon as possible"


class Slippery(str):
    def __getitem__(self, key):
        raise KeyboardInterrupt


class Nameless(Exception):
    def __str__(self):
        return Slippery("slippery")


def exits():
    sys.exit(3)


def interrupts():
    raise KeyboardInterrupt


def leaves_generator():
    raise GeneratorExit


def stops_iteration():
    raise StopIteration(1)


def recurses():
    recurses()


def returns_an_object():
    return object()


def returns_much():
    return "x" * 100_000_000


def returns_itself():
    found: list = []
    found.append(found)
    return found


def returns_half_a_character():
    return "\udc80"


def raises_mute():
    raise Mute


def raises_liar():
    raise Liar("x")


def raises_impostor():
    raise Impostor


def raises_nameless():
    raise Nameless


def raises_half_a_character():
    raise ValueError("half: \udc80")


def raises_a_novel():
    raise ValueError("x" * 10_000_000)


def raises_a_chain():
    error = ValueError("first")
    for number in range(5_000):
        deeper = ValueError(number)
        deeper.__cause__ = error
        error = deeper
    raise error


def raises_escapes():
    raise ValueError("\x1b[2J\x1b]0;owned\x07 and a\nsecond line")


def prints_escapes():
    print("\x1b[31mred\x1b[0m", flush=True)


def closes_output():
    sys.stdout = sys.stderr = None
    # Another handler may have closed it before this process was started.
    with suppress(OSError):
        os.close(1)


def changes_folder():
    os.chdir("/")


def changes_signals():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def registers_exit():
    atexit.register(time.sleep, 3600)


def leaves_a_thread():
    threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)]).start()


def leaves_a_talking_daemon():
    threading.Thread(target=lambda: [print("still here", file=sys.stderr) for _ in range(100)], daemon=True).start()


def deletes_its_arguments(context: Context, a: int = 1):
    context.metadata.clear()
    del context, a
    sys.modules["__main__"].__dict__.pop("__doc__", None)


def nests_a_loop():
    return asyncio.run(asyncio.sleep(0, "nested"))


def returns_a_coroutine():
    return asyncio.sleep(0)


def forks():
    """The exit code of the process that comes out of the handler a second time."""
    child = os.fork()
    if child == 0:
        sys.exit(5)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forks_and_returns():
    child = os.fork()
    return "child" if child == 0 else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def gives_up():
    raise Fail("no such customer")


PLAIN = [each for each in list(globals().values()) if inspect.isfunction(each) and each.__module__ == __name__]
for function in PLAIN:
    app.add_handler(function, f"{function.__name__}.thread", [("app", app.defaults)])
    app.add_handler(
        function, f"{function.__name__}.process", [("app", app.defaults), ("task", Options(executor="process"))]
    )


async def swallows_cancellation():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()


async def cancels_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def raises_cancelled():
    raise asyncio.CancelledError


async def stops_the_loop():
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)


async def closes_the_loop():
    asyncio.get_running_loop().close()


async def nests_loops():
    asyncio.run(asyncio.sleep(0))


async def runs_the_loop():
    asyncio.get_running_loop().run_until_complete(asyncio.sleep(0))


async def exits_in_a_task():
    async def exits():
        sys.exit(4)

    asyncio.get_running_loop().create_task(exits())
    await asyncio.sleep(0.01)
    return "went on"


async def misuses_a_generator():
    async def numbers():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            yield 2

    async for number in numbers():
        return number


async def async_exits():
    sys.exit(3)


async def async_interrupts():
    raise KeyboardInterrupt


async def async_leaves_generator():
    raise GeneratorExit


async def async_stops_iteration():
    raise StopIteration(1)


async def async_forks():
    return forks()


COROUTINES = [
    async_forks,
    *(swallows_cancellation, cancels_itself, raises_cancelled, stops_the_loop, closes_the_loop, nests_loops),
    *(runs_the_loop, exits_in_a_task, misuses_a_generator),
    *(async_exits, async_interrupts, async_leaves_generator, async_stops_iteration),
]
for function in COROUTINES:
    app.add_handler(function, f"{function.__name__}.loop", [("app", app.defaults)])


@app.task
async def blocks_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@app.task
async def spins_on_the_loop() -> None:
    while True:
        pass


@app.task
async def blocks_for_ever() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@app.task
async def cancels_everybody() -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


@app.task
def never_ends() -> None:
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            continue


@app.task
def spins() -> None:
    while True:
        pass


# What takes its process with it: apart that is the attempt's own, in a thread the whole worker's.
def kills_by_exit():
    os._exit(7)


def kills_by_segfault():
    ctypes.string_at(0)


def kills_by_signal():
    os.kill(os.getpid(), signal.SIGKILL)


def kills_by_abort():
    os.abort()


def kills_by_alarm():
    signal.alarm(1)
    time.sleep(3600)


KILLERS = [kills_by_exit, kills_by_segfault, kills_by_signal, kills_by_abort, kills_by_alarm]
for function in KILLERS:
    app.add_handler(function, f"{function.__name__}.thread", [("app", app.defaults)])
    app.add_handler(
        function, f"{function.__name__}.process", [("app", app.defaults), ("task", Options(executor="process"))]
    )


@app.task(executor="process")
def forks_and_dies() -> None:
    if os.fork() == 0:
        time.sleep(3600)
    os._exit(7)


@app.task(executor="process")
def starts_a_program_and_dies() -> None:
    os.system("exec sleep 3600 &")
    os._exit(7)


@app.task(executor="process")
def closes_everything() -> None:
    os.closerange(0, 1000)


@app.task(executor="process")
def writes_into_the_channel() -> None:
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"\xff" * 100)
        except OSError:
            continue
    time.sleep(3600)


@app.task(executor="process")
def hogs_memory() -> None:
    held = []
    while True:
        held.append(bytearray(8 * 2**20))


@app.task(executor="process")
def leaves_a_process(seconds: int) -> int:
    import subprocess

    return subprocess.Popen(["/bin/sleep", str(seconds)]).pid


@app.task(executor="process")
def starts_a_process_and_hangs(file: str) -> None:
    import subprocess

    child = subprocess.Popen(["/bin/sleep", "3600"])
    with open(file, "w") as notes:
        notes.write(f"{child.pid}\n")
    time.sleep(3600)


@app.task(executor="process")
def where_apart() -> int:
    return os.getpid()


@app.task
def typed(tree: list | None = None) -> None: ...


@app.task
def where() -> int:
    return os.getpid()


@app.task
async def where_async() -> int:
    return os.getpid()


_meeting: dict[str, int] = {}
_meeting_lock = threading.Lock()


@app.task
def meets(place: str, others: int) -> int:
    """Ends when so many are here at the same time: only if there are so many slots."""
    with _meeting_lock:
        _meeting[place] = _meeting.get(place, 0) + 1
    while _meeting[place] < others:
        time.sleep(0.005)
    return others


@app.task
async def meets_async(place: str, others: int) -> int:
    _meeting[place] = _meeting.get(place, 0) + 1
    while _meeting[place] < others:
        await asyncio.sleep(0.005)
    return others


@app.task
def waits(file: str) -> None:
    """Goes on until the file is there."""
    while not os.path.exists(file):
        time.sleep(0.01)
