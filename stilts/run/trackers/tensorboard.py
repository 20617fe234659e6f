"""TensorBoard: event files, one folder per stage."""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from stilts.run.trackers.base import Tracked

FLUSH_SECONDS = 10


class TensorBoard:
    """Logs to `FOLDER/STAGE/`.

    Each process adds an event file, which names the step from which it continues. TensorBoard then discards that step
    and later ones of earlier files. Earlier steps are not written again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, SummaryWriter] = {}
        self._from: dict[str, int] = {}

    def begin(self, stage: Tracked, step: int | None) -> None:
        folder = self._folder / stage.name
        again = folder.exists()
        self._from[stage.name] = (step or 0) if again else 0
        writer = SummaryWriter(
            str(folder),
            purge_step=step if again else None,
            flush_secs=FLUSH_SECONDS,
            # The default file name has the time in seconds, so that two files of one second would be the same.
            filename_suffix=f".{time.time_ns()}",
        )
        self._writers[stage.name] = writer
        if not again:
            writer.add_text("cells", "  \n".join(stage.cells))

    def log(self, stage: Tracked, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items() if step >= self._from[stage.name] else ():
            self._writers[stage.name].add_scalar(name, value, step)

    def end(self, stage: Tracked, status: str, step: int, scores: Mapping[str, float]) -> None:
        writer = self._writers.pop(stage.name)
        for name, value in scores.items():
            writer.add_scalar(name, value, step)
        if status == "done":
            for summary in hparams(dict(stage.settings), dict(scores)):
                writer.file_writer.add_summary(summary)
        writer.close()
