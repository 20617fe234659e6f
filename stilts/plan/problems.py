"""Problems: collects the mistakes of an experiment, so that all of them are reported at once."""

from collections.abc import Callable
from typing import Any, TypeVar

from stilts.errors import Problems, StiltsError

T = TypeVar("T")


class Collector:
    """Collects messages about mistakes, each with the place in the experiment where the mistake is."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._said: set[str] = set()

    def add(self, where: str, message: str) -> None:
        """Add a mistake at the place `where` (a dotted path such as `targets.xnli`)."""
        self.messages.append(f"{where}: {message}")

    def attempt(self, where: str, function: Callable[..., T], *args: Any, repeat: bool = False) -> T | None:
        """Call a function; return its result, or collect the mistakes that it raises and return None.

        Args:
            where: the place in the experiment that is being resolved.
            repeat: whether to add a message that was already added for another place. A misspelt name is a mistake
                at each of its places, but a broken data file that several stages read is only one mistake.
        """
        try:
            return function(*args)
        except StiltsError as error:
            found = error.messages if isinstance(error, Problems) else [str(error)]
            self.messages += [f"{where}: {message}" for message in found if repeat or message not in self._said]
            self._said.update(found)
        return None

    def at(self, where: str) -> bool:
        """Whether there is a mistake at this place or inside it."""
        return any(message.startswith(where) for message in self.messages)

    def close(self) -> None:
        """Raise all mistakes, if there are any.

        Raises:
            Problems: the mistakes that were collected, each once.
        """
        if self.messages:
            raise Problems(list(dict.fromkeys(self.messages)))
