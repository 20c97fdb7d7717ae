"""Processes beside the worker: warm, killable, replaced when they are worn out or dead. Never forked off a worker."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.process_info import read_memory_mib
from jobistemer.runtime.repeat import start_thread
from jobistemer.worker.process.channel import Channel, ChannelClosed
from jobistemer.worker.process.protocol import AppImported, Assignment, Done, Frame, ImportApp

START_S = 60.0
"""How long importing the app may take."""
CHECK_S = 0.25
END_S = 2.0


class ProcessNotStarted(Exception):
    """A process could not be started, or could not import the app."""


class ProcessDied(Exception):
    """A process ended while it ran a handler; the text says how."""


class FrameHandler(Protocol):
    """What is done for a process while it runs a handler."""

    def serve(self, frame: Frame) -> None:
        """Do what it asks for. Raises ChannelClosed."""
        ...

    def check(self) -> None:
        """Called a few times a second."""
        ...


class HandlerProcess:
    """One process. It is killed with everything that it has started."""

    _frame_handler: FrameHandler

    def __init__(self, app: str, folder: str, max_mib: int) -> None:
        """Start it. Raises ProcessNotStarted."""
        self.runs = 0
        self.memory_mib = 0.0
        self._max_mib = max_mib
        self._next_check = 0.0
        ours, theirs = (_avoid_standard_streams(end) for end in socket.socketpair())
        command = [sys.executable, "-m", "jobistemer.worker.process.child", str(theirs.fileno())]
        try:
            with theirs:
                # A session of its own: signals of a terminal are for the worker, and a whole group can be killed.
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True
                )
        except OSError as error:
            ours.close()
            raise ProcessNotStarted(f"its process could not be started: {error}") from error
        self._channel = Channel(ours)
        self._open(app)

    def _open(self, app: str) -> None:
        try:
            self._channel.send(ImportApp(app, sys.path, logging.getLogger().getEffectiveLevel()))
            ready = self._channel.expect(AppImported, START_S)
            trouble = f"importing {app} took more than {START_S:g} s" if ready is None else ready.error
        except ChannelClosed:
            trouble = f"while it imported {app}, {self._explain_death()}"
        if trouble:
            self.kill()
            raise ProcessNotStarted(f"its process could not be started: {trouble}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def perform(self, assignment: Assignment, frame_handler: FrameHandler) -> Done:
        """Have it call a handler, and do what it asks for meanwhile, until the outcome comes. Raises ProcessDied."""
        self._frame_handler = frame_handler
        try:
            self.send(assignment)
            while not isinstance(frame := self.receive(), Done):
                frame_handler.serve(frame)
        except ChannelClosed:
            raise ProcessDied(self._explain_death()) from None
        self.runs += 1
        self.memory_mib = frame.memory_mib
        return frame

    def send(self, frame: Frame) -> None:
        """Say something to it. Raises ChannelClosed."""
        self._channel.send(frame)

    def receive(self) -> Frame:
        """What it says next. Raises ChannelClosed, or ProcessDied when it has grown too large."""
        while True:
            # Also when it never stops talking.
            if (now := time.monotonic()) >= self._next_check:
                self._next_check = now + CHECK_S
                self._check_memory()
                self._frame_handler.check()
            if (frame := self._channel.receive(CHECK_S)) is not None:
                return frame

    def kill(self) -> None:
        """End it at once, from whatever thread."""
        with suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let it end: there is nothing that it runs, and nothing more will come."""
        self._channel.close()

    def end(self) -> None:
        """Let it end in order, by force when it takes its time."""
        self.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        self.kill()
        self._process.wait()

    def _check_memory(self) -> None:
        if self._max_mib and (held := read_memory_mib(self.pid)) > self._max_mib:
            self.kill()
            self._process.wait()
            raise ProcessDied(f"its process held {held:.0f} MiB, allowed are {self._max_mib}")

    def _explain_death(self) -> str:
        # One that has died by itself keeps the code it died with; what it has started dies now.
        self.kill()
        code = self._process.wait()
        if code >= 0:
            return f"its process ended with exit code {code}"
        if code == -signal.SIGKILL:
            return "its process was killed, or closed the channel to its worker (signal 9)"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        return f"its process died with signal {-code} ({name})"


def _avoid_standard_streams(end: socket.socket) -> socket.socket:
    # A handler may have closed standard output or error; the channel must not be what others take for it.
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))


class ProcessPool:
    """The processes of one worker that wait for something to do; at most as many as there are slots.

    shards: how many the namespace has, which they are told.
    """

    def __init__(self, settings: WorkerSettings, shards: int) -> None:
        self._settings = settings
        self.shards = shards
        self._folder = str(Path.cwd())
        self._idle: list[HandlerProcess] = []
        self._lock = threading.Lock()

    def acquire(self) -> HandlerProcess:
        """A warm process, the one that was used last; a new one when there is none. Raises ProcessNotStarted."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return HandlerProcess(self._settings.app, self._folder, self._settings.child_max_memory_mib)

    def release(self, child: HandlerProcess) -> None:
        """Keep a process warm for the next run, unless it is worn out."""
        worn_out = 0 < self._settings.child_max_runs <= child.runs
        too_large = 0 < self._settings.child_max_memory_mib < child.memory_mib
        if worn_out or too_large:
            start_thread(child.end, "end process")
            return
        with self._lock:
            self._idle.append(child)

    def warm_up(self) -> None:
        """Have one process wait before it is needed. Raises ProcessNotStarted."""
        self.release(self.acquire())

    def end(self) -> None:
        """End the processes that are idle; those that run something end with the worker."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.close()
        for child in idle:
            child.end()
