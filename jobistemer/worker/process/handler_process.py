"""Handler processes: started beside the worker, driven by its threads, killed together with what they have started."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import Protocol

from jobistemer.runtime.process_info import read_memory_mib
from jobistemer.worker.process.channel import Channel, ChannelClosed
from jobistemer.worker.process.failures import START_S, ProcessDied, ProcessNotStarted
from jobistemer.worker.process.protocol import AppImported, Assignment, Frame, HandlerEnded, ImportApp

CHECK_S = 0.25
"""Seconds between two checks of memory and of a request to stop."""
END_S = 2.0
"""Seconds that an idle process may take to end before it is killed."""


class FrameHandler(Protocol):
    """The worker's side of an attempt while a process runs its handler."""

    def serve(self, frame: Frame) -> None:
        """Do what a frame asks for. Raises ChannelClosed."""
        ...

    def check(self) -> None:
        """Check whether the handler should end; called every CHECK_S seconds."""
        ...


class HandlerProcess:
    """One handler process. It is killed together with every process that it has started.

    runs: attempts so far. memory_mib: resident memory after the last attempt.
    """

    _frame_handler: FrameHandler

    def __init__(self, app: str, folder: str, max_mib: int) -> None:
        """Start the process and let it import the app. Raises ProcessNotStarted.

        folder: its working directory. max_mib: its memory limit, 0 for none.
        """
        self.runs = 0
        self.memory_mib = 0.0
        self._max_mib = max_mib
        self._next_check = 0.0
        try:
            self._process, ours = _start(folder)
        except OSError as error:
            raise ProcessNotStarted(f"its process could not be started: {error}") from error
        self._channel = Channel(ours)
        self._import_app(app)

    def _import_app(self, app: str) -> None:
        try:
            self._channel.send(ImportApp(app, sys.path, logging.getLogger().getEffectiveLevel()))
            imported = self._channel.expect(AppImported, START_S)
            error = f"importing {app} took more than {START_S:g} s" if imported is None else imported.error
        except ChannelClosed:
            error = f"while it imported {app}, {self._explain_death()}"
        if error:
            self.kill()
            self.end()
            raise ProcessNotStarted(f"its process could not be started: {error}")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended; it can still be killed with what it has started, and waited for."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def perform(self, assignment: Assignment, frame_handler: FrameHandler) -> HandlerEnded:
        """Run an assignment and return its result. Meanwhile `frame_handler` serves the frames of the process.

        Raises ProcessDied.
        """
        self._frame_handler = frame_handler
        try:
            self.send(assignment)
            while not isinstance(frame := self.receive(), HandlerEnded):
                frame_handler.serve(frame)
        except ChannelClosed:
            raise ProcessDied(self._explain_death()) from None
        self.runs += 1
        self.memory_mib = frame.memory_mib
        return frame

    def send(self, frame: Frame) -> None:
        """Send a frame. Raises ChannelClosed."""
        self._channel.send(frame)

    def receive(self) -> Frame:
        """Return the next frame.

        Raises ChannelClosed, also when the process has ended, or ProcessDied when it has passed its memory limit.
        """
        while True:
            # Before each frame, so that a process that sends frames without a pause is checked too.
            if (now := time.monotonic()) >= self._next_check:
                self._next_check = now + CHECK_S
                self._check_memory()
                self._frame_handler.check()
            if (frame := self._channel.receive(CHECK_S)) is not None:
                return frame
            if self.has_ended:
                # What it has started may keep the channel open.
                raise ChannelClosed("the process has ended")

    def kill(self) -> None:
        """Kill the process and what it has started. Any thread may call this."""
        with suppress(ProcessLookupError, PermissionError):
            # Once its end is known the system may give the process id to another process.
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the channel: an idle process then ends by itself."""
        self._channel.close()

    def end(self) -> None:
        """Let the process end in order; kill it when that takes longer than END_S."""
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
        # A process that has died by itself keeps its exit code. The kill ends the processes that it has started.
        self.kill()
        code = self._process.wait()
        if code >= 0:
            return f"its process ended with exit code {code}"
        if code == -signal.SIGKILL:
            return "its process was killed, or closed the channel to its worker (signal 9)"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        return f"its process died with signal {-code} ({name})"


def _start(folder: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process in a folder. Returns it with our end of its channel. Raises OSError; then nothing stays open."""
    with ExitStack() as opened:
        pair = [opened.enter_context(end) for end in socket.socketpair()]
        ours, theirs = (opened.enter_context(_avoid_standard_streams(end)) for end in pair)
        command = [sys.executable, "-m", "jobistemer.worker.process.child", str(theirs.fileno())]
        # A session of its own: Ctrl-C is for the worker only, and the process group can be killed as a whole.
        process = subprocess.Popen(  # noqa: S603 - a module of this package
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True
        )
        theirs.close()
        opened.pop_all()
    return process, ours


def _avoid_standard_streams(end: socket.socket) -> socket.socket:
    # The application may have closed standard output or error. A channel with one of their descriptors would get what
    # other code prints.
    if end.fileno() > 2:
        return end
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))
