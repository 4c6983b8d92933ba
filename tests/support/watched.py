"""Settings that note which of them are read."""

from typing import Any

from easytransfer_mtl.config.options import has_effect, options_of


def watched(settings: Any) -> tuple[Any, set[str]]:
    """Returns the same settings once more, and the set of their names that grows with what is read of these."""
    kind, read = type(settings), set()
    names = set(options_of(kind))

    class Watched(kind):
        """Notes every option that is asked for."""

        def __getattribute__(self, name: str) -> Any:
            """Returns the attribute."""
            if name in names:
                read.add(name)
            return super().__getattribute__(name)

    made = Watched(**{name: getattr(settings, name) for name in names})
    read.clear()  # of what checking them has read
    return made, read


def with_effect(settings: Any) -> set[str]:
    """Returns the options that are declared to have an effect under conditions, which are met."""
    return {item.name for item in options_of(type(settings)).values() if item.only_with and has_effect(item, settings)}
