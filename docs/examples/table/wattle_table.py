"""An exporter: what each run achieved and cost, as a line of a CSV file that a spreadsheet opens."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from exporters import ExportRefused
from schema import EpochResult, Run
from settings import Settings


class TableExporter:
    """Appends to the file that WATTLE_TABLE names, else to table.csv in the data folder."""

    def __init__(self, settings: Settings) -> None:
        self._path = Path(os.environ.get("WATTLE_TABLE", settings.data_dir / "table.csv"))

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Append the run, unless its line is there: the same run may come again."""
        if run.simulated:
            raise ExportRefused("Simulated runs are in no table.")
        row = [
            run.run_id,
            str(run.ended_at),
            run.status,
            len(epochs),
            run.best_accuracy,
            run.energy_kwh,
            run.co2_g,
        ]
        with self._path.open("a+", newline="", encoding="utf-8") as file:
            file.seek(0)
            known = {(line[0], line[1]) for line in csv.reader(file) if line}
            if (row[0], row[1]) not in known:
                csv.writer(file).writerow(row)
