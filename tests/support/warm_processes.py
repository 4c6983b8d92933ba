"""The program in processes of their own that begin with TensorFlow imported: in a short run the imports are half the time.

They are forked from a server that has imported everything and computed nothing, and are real otherwise: their own memory,
signals and exit codes. Where forking such a server is not safe (elsewhere than on Linux) they import for themselves.
"""

import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NoReturn

SECONDS = 3600
"""What hangs ends at last; no machine that is merely slow or busy takes that long."""


class WarmProcess:
    """``python -m easytransfer_mtl`` with the given words, as a process whose output goes to files."""

    def __init__(
        self, words: list[str | Path], cwd: Path, script: Path | None = None, outputs: list[str] | None = None
    ) -> None:
        """Starts it in the folder ``cwd``.

        Args:
            words: its arguments.
            cwd: its folder.
            script: run in place of the program.
            outputs: where its standard output and error go, if not to files of its own.
        """
        self._words = [str(word) for word in words]
        self._folder = tempfile.TemporaryDirectory(prefix="warm_process_")
        self._outputs = [Path(path) for path in outputs or (f"{self._folder.name}/{name}" for name in ("stdout", "stderr"))]
        if outputs is None:
            for path in self._outputs:
                path.touch()
        arguments = (self._words, str(cwd), *map(str, self._outputs), script and str(script))
        self._process = _context().Process(target=run_program, args=arguments, daemon=True)
        self._process.start()

    @property
    def stdout(self) -> str:
        """What it has written to its standard output so far."""
        return self._outputs[0].read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What it has written to its standard error so far."""
        return self._outputs[1].read_text(encoding="utf-8", errors="replace")

    def poll(self) -> int | None:
        """Returns its exit code, minus the signal's number if one ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def wait_until(self, happened: Callable[[], bool], what: str) -> None:
        """Waits for a moment of its life, looking every thousandth of a second; its end is a failure."""
        end = time.monotonic() + SECONDS
        while not happened():
            assert self.poll() is None, f"ended before {what!r}:\n{self.stderr[-3000:]}"
            if time.monotonic() > end:
                self._give_up()
            time.sleep(0.001)

    def wait(self) -> int:
        """Waits for its end and returns its exit code; one that takes too long is killed."""
        self._process.join(SECONDS)
        if self._process.exitcode is None:
            self._give_up()
        return self._process.exitcode

    def _give_up(self) -> NoReturn:
        self.kill()
        raise subprocess.TimeoutExpired(self._words, SECONDS, self.stdout, self.stderr)

    def kill(self) -> None:
        """Kills it if it still runs."""
        self._process.kill()
        self._process.join()

    def finish(self) -> subprocess.CompletedProcess[str]:
        """Waits for its end and returns what ``subprocess.run`` would have."""
        code = self.wait()
        return subprocess.CompletedProcess(self._words, code, self.stdout, self.stderr)


class WarmSession:
    """One process that runs command after command: the first training of a process takes twice the time of any other.

    For commands of which a test asks only what they write and how they end. What is to hold for a process that never saw
    those before it (that it goes on bit for bit, that it gets all it needs from files) takes one of its own.
    """

    def __init__(self) -> None:
        """Starts it."""
        self._folder = tempfile.TemporaryDirectory(prefix="warm_session_")
        self._connection, its = multiprocessing.Pipe()
        self._process = _context().Process(target=run_commands, args=(its,), daemon=True)
        self._process.start()
        its.close()
        self._count = 0

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs ``python -m easytransfer_mtl`` with the given words in the folder ``cwd``."""
        self._count += 1
        outputs = [Path(f"{self._folder.name}/{self._count}_{name}") for name in ("stdout", "stderr")]
        for path in outputs:
            path.touch()
        self._connection.send(([str(word) for word in words], str(cwd), *map(str, outputs)))
        try:
            code = self._connection.recv() if self._connection.poll(SECONDS) else None
        except EOFError:  # a command has ended the process
            self._process.join(SECONDS)
            code = self._process.exitcode
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
        return subprocess.CompletedProcess([str(word) for word in words], code, *texts)

    def close(self) -> None:
        """Ends it."""
        self._connection.close()
        self._process.join(SECONDS)
        self._process.kill()


def _context() -> ForkServerContext:
    """Returns the context whose server has imported what training imports; there is one server a test process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warm_imports"] if sys.platform == "linux" else [])
    return context


def _place(cwd: str, stdout: str, stderr: str) -> None:
    """Gives this process its files and folder."""
    for descriptor, path in ((1, stdout), (2, stderr)):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(cwd)


def run_commands(asked: Connection) -> None:
    """Is a session: answers every command with its exit code until nobody can ask any more."""
    from easytransfer_mtl.__main__ import main

    while True:
        try:
            words, *place = asked.recv()
        except EOFError:
            return
        _place(*place)
        logging.root.handlers.clear()  # main sets up a process's logging
        try:
            code = main(words)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        asked.send(code)


def run_program(words: list[str], cwd: str, stdout: str, stderr: str, script: str | None) -> None:
    """Is the process: takes its files and folder, and ends with the exit code of the program or the script."""
    _place(cwd, stdout, stderr)
    if script is not None:
        sys.argv = [script, *words]
        runpy.run_path(script, run_name="__main__")
        return
    from easytransfer_mtl.__main__ import main

    sys.exit(main(words))
