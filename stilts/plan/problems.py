"""Problems: what is wrong with an experiment, collected so that all of it is said at once."""

from collections.abc import Callable
from typing import Any, TypeVar

from stilts.errors import Problems, StiltsError

T = TypeVar("T")


class Collector:
    """Mistakes met on the way, each with the place in the experiment that leads to it."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._said: set[str] = set()

    def add(self, where: str, message: str) -> None:
        """Note a mistake of one place."""
        self.messages.append(f"{where}: {message}")

    def attempt(self, where: str, function: Callable[..., T], *args: Any, repeat: bool = False) -> T | None:
        """The function's result, or None and its mistakes noted.

        Args:
            repeat: note a mistake that another place has led to already. A wrong name may stand in several places; a
                mistake in the data, met again by other stages, is one mistake.
        """
        try:
            return function(*args)
        except StiltsError as error:
            found = error.messages if isinstance(error, Problems) else [str(error)]
            self.messages += [f"{where}: {message}" for message in found if repeat or message not in self._said]
            self._said.update(found)
        return None

    def at(self, where: str) -> bool:
        """Whether a mistake of this place, or inside it, is noted."""
        return any(message.startswith(where) for message in self.messages)

    def close(self) -> None:
        """Pass where nothing is wrong.

        Raises:
            Problems: everything noted, each once.
        """
        if self.messages:
            raise Problems(list(dict.fromkeys(self.messages)))
