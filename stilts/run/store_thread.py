"""StoreThread: a thread in which the driver accesses the store, because Tune's loop must not wait for it."""

import threading
from types import TracebackType
from typing import Any, Self


class StoreThread:
    """Base of an object that accesses the store in a thread of its own. Use it as the context of the run.

    A subclass implements `_work`, which runs in the thread until `_closed` is set. `_changed` guards what both threads
    use, and is notified when the run ends.

    Args:
        name: name of the thread.
        close_seconds: how long the end of the run waits for the thread. A store that does not answer does not hold it
            up for longer.
    """

    def __init__(self, name: str, close_seconds: float) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._close_seconds = close_seconds
        self._thread = threading.Thread(target=self._work, daemon=True, name=name)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher to restore it later, which stilts never does.
        return {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(self._close_seconds)

    def _work(self) -> None:
        raise NotImplementedError
