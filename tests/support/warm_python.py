"""A Python for scripts under test: ``-m easytransfer_mtl`` becomes a ``WarmProcess``, everything else is this Python's.

Run as a script it is that Python: it asks the test process for the program, waits, and ends with its exit code. Where there
is no /proc, by which the program finds its caller's output, the program too is this Python's.
"""

import os
import sys
import threading
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

LAUNCHER = """#!/bin/sh
if [ -d /proc/self/fd ] && [ "$1 $2" = "-m easytransfer_mtl" ]; then
  shift 2
  exec "{python}" -I "{client}" "{address}" "$@"
fi
exec "{python}" "$@"
"""


class WarmPython:
    """``bin/python`` in a folder that stands in for a virtual environment; it works as long as the test process lives."""

    def __init__(self, folder: Path) -> None:
        """Writes it, and waits for its calls in a thread."""
        self._listener = Listener(family="AF_UNIX")
        python = folder / "bin" / "python"
        python.parent.mkdir()
        launcher = LAUNCHER.format(python=sys.executable, client=__file__, address=self._listener.address)
        python.write_text(launcher, encoding="utf-8", newline="\n")
        python.chmod(0o755)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            threading.Thread(target=_answer, args=(self._listener.accept(),), daemon=True).start()


def _answer(connection: Connection) -> None:
    """Runs what a call asks for; its output goes where the caller's does."""
    from warm_processes import WarmProcess

    with connection:
        words, cwd, outputs = connection.recv()
        connection.send(WarmProcess(words, Path(cwd), outputs=outputs).wait())


if __name__ == "__main__":
    streams = [f"/proc/{os.getpid()}/fd/{number}" for number in (1, 2)]
    with Client(sys.argv[1], "AF_UNIX") as asked:
        asked.send((sys.argv[2:], os.getcwd(), streams))
        sys.exit(asked.recv())
