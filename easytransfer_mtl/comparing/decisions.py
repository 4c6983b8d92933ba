"""The decisions of a search, in a file: a search that was stopped goes on by those that it has made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json, write_json

FORMAT = 2
BUDGET = "budget.json"


class Decisions:
    """A search's decisions by name, each made once and written before anything is done by it."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        """Reads the file if it is there.

        Args:
            path: the file.
            about: what the search is of, as JSON; a file that is of something else is refused.

        Raises:
            UserError: the file is damaged, or of another search.
        """
        self.path, self._about = path, about
        self._made: dict[str, Any] = {}
        if path.exists():
            self._made = self._read()

    def take(self, name: str, decide: Callable[[], Any]) -> Any:
        """Returns a decision, as JSON; calls ``decide`` if it was not made before."""
        if name not in self._made:
            self._made[name] = decide()
            write_json(self.path, {"format_version": FORMAT, "of": self._about, "decisions": self._made})
        return self._made[name]

    def made(self, name: str) -> Any:
        """Returns a decision; None if it was not made."""
        return self._made.get(name)

    def damaged(self, what: str) -> UserError:
        """Returns the error for a damaged file."""
        return UserError(
            f"{self.path} is damaged ({what}); delete it, and the lengths are planned anew. Finished trainings are kept."
        )

    def _read(self) -> dict[str, Any]:
        value = read_json(self.path, BUDGET)
        about, made = (value.get(name) if isinstance(value, dict) else None for name in ("of", "decisions"))
        if not isinstance(about, dict) or not isinstance(made, dict) or value.get("format_version") != FORMAT:
            raise self.damaged(f"it is no plan of format_version {FORMAT}")
        changed = [name for name in self._about if about.get(name) != self._about[name]]
        if changed:
            found = "; ".join(f"{name}: {about.get(name)} -> {self._about[name]}" for name in changed)
            raise UserError(
                f"{self.path} is the plan of another comparison ({found}). Take the old settings, or another --model_dir, "
                "or delete the file: lengths are planned anew then, and finished trainings of the same length are kept."
            )
        return made
