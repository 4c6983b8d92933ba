"""Progress of long work: a bar where someone looks, lines in a log."""

import io
import logging
import sys

import pytest

from easytransfer_mtl import progress
from easytransfer_mtl.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for every update, however short the time."""
    monkeypatch.setattr(progress, "SECONDS", 0.0)


def moved(total: int = 40) -> None:
    with progress_bar(total, "predict TNEWS", " rows") as bar:
        for _ in range(total // 10):
            bar.update(10)


@pytest.mark.usefixtures("instant")
def test_a_log_gets_lines_with_rate_and_time_left(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        moved()
    assert capsys.readouterr() == ("", "")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines if " 0 of" not in line] == [
        f"predict TNEWS: {count} of 40 rows" for count in (10, 20, 30, 40)
    ]
    assert all(" rows/s, time left 00:00" in line for line in lines[-2:])


def test_short_work_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        moved()
    assert not caplog.records


@pytest.mark.usefixtures("instant")
def test_a_terminal_gets_a_bar_that_disappears(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO):
        moved()
    assert "predict TNEWS:" in terminal.getvalue() and terminal.getvalue().endswith("\r")
    assert not caplog.records


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_not_to_be_shown_is_nowhere(
    is_there: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = Terminal() if is_there else None
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO):
        bar = progress_bar(5, "", " rows", is_shown=False)
        bar.update(5)
        bar.close()
    assert not caplog.records and (terminal is None or not terminal.getvalue())
