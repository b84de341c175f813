"""What a run logs: a line of JSON a step, and the same for TensorBoard (``tensorboard --logdir runs``)."""

from __future__ import annotations

import json
from pathlib import Path

from tensorboardX import SummaryWriter


class FiguresLog:
    """Figures of finished steps, kept whenever a checkpoint is: what is logged is never ahead of it.

    Args:
        folder: gets ``log.jsonl`` and ``events.out.tfevents.*``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._board: SummaryWriter | None = None

    def write(self, entries: list[dict[str, float]]) -> None:
        """Append entries, each with its "step".

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        if not entries:
            return
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({k: round(v, 7) for k, v in entry.items()}) + "\n" for entry in entries)
        if self._board is None:
            self._board = SummaryWriter(str(self.folder), flush_secs=30)
        for entry in entries:
            for name, value in entry.items():
                if name != "step":
                    self._board.add_scalar(f"train/{name}", value, int(entry["step"]))
        self._board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()
            self._board = None
