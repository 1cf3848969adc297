"""What an exporter is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from errors import WattleError
from schema import EpochResult, Run
from settings import Settings


class ExportRefused(WattleError):
    """An exporter will never take this run, however often it is tried; it is left out."""

    code = "export_refused"


class Exporter(Protocol):
    """Hands runs that have ended to somebody else."""

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Hand a run over, with its epochs, oldest first; when this returns, it is kept there.

        The same run may come again: where the program died before it could note that it was done, and where
        the run was tried again and has ended again. Raises ExportRefused for a run that is to be left out;
        whatever else is raised holds this exporter up, and is tried again later.
        """


# What an entry point of the group wattle.exporters leads to.
OpenExporter = Callable[[Settings], Exporter]
