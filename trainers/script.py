"""The trainer ``script``: runs a person's own Python script and turns what it reports into epochs.

The script reports through a pipe it inherits: one JSON object per line. So nothing it sends goes over a
network, all of it is recorded under the worker's own lease, and its energy is measured as any training's.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError, ValidationInfo, field_validator

from errors import TrainerDied, TrainingFailed
from schema import EpochResult, Epochs, Record, TrainingContext
from schema.values import Finite, Fraction
from trainers.params import AnyCase, HyperParams
from trainers.script_process import ScriptProcess, describe_exit

_POLL_S = 0.1
_LAST_LINES = 20
_Argument = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]


class ScriptHyperParams(HyperParams):
    """A Python script of this host; it learns its hyper_params from a JSON file and reports epochs."""

    trainer: Annotated[Literal["script"], AnyCase] = Field(
        "script", title="Trainer", description="runs a script from the scripts folder"
    )
    script: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$",
        title="Script",
        description="its path inside the scripts folder, such as mnist/train.py",
        json_schema_extra={"advanced": False},
    )
    args: tuple[_Argument, ...] = Field(
        (), max_length=64, strict=False, title="Arguments", description="of its command line"
    )
    params: dict[str, JsonValue] = Field(
        default_factory=dict,
        title="Parameters",
        description="anything else the script is to read from its file",
    )
    timeout_s: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        title="Time limit",
        description="the script is ended and the run fails after this time in one attempt",
        json_schema_extra={"unit": "s"},
    )

    @field_validator("script")
    @classmethod
    def _check_script(cls, script: str, info: ValidationInfo) -> str:
        scripts_dir = (info.context or {}).get("scripts_dir")
        if scripts_dir is None:
            raise ValueError("scripts are off on this host: set WATTLE_SCRIPTS_DIR to the folder they are in")
        find_script(scripts_dir, script)
        return script


class ReportedEpoch(Record):
    """A line of a script's report. How long the epoch took and what it cost is measured, not reported."""

    epoch: int = Field(ge=1)
    train_loss: Finite
    train_accuracy: Fraction
    test_loss: Finite
    test_accuracy: Fraction
    validation_loss: Finite | None = None
    validation_accuracy: Fraction | None = None


def find_script(scripts_dir: Path, name: str) -> Path:
    """Return the real path of a script. Raises ValueError when there is none, or it lies outside in truth."""
    root = scripts_dir.resolve()
    try:
        path = (root / name).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise ValueError(f"there is no {name} in the scripts folder of this host") from error
    if not path.is_relative_to(root):
        raise ValueError("it leads out of the scripts folder")
    if not path.is_file():
        raise ValueError(f"{name} is not a file")
    return path


def train_script(hyper_params: ScriptHyperParams, context: TrainingContext) -> Epochs:
    """Run the script and yield the epochs it reports; ends it when asked to stop.

    Raises TrainingFailed when it ends with another exit code than 0, takes too long or reports nonsense, and
    TrainerDied, which is tried again, when a signal ended it.
    """
    if context.scripts_dir is None:
        raise TrainingFailed(
            "Scripts are off on this worker: set WATTLE_SCRIPTS_DIR to the folder they are in."
        )
    path = find_script(context.scripts_dir, hyper_params.script)
    context.control.describe({"script": str(path)})
    with ScriptProcess(
        [str(path), *hyper_params.args], hyper_params.model_dump(mode="json"), context
    ) as process:
        start_s = epoch_start_s = time.monotonic()
        lines: list[str] = []
        while not process.has_ended:
            # Step 0 is none: how long a script may be silent is its own time limit's business.
            if context.control.after_step(0) is not None:
                process.stop()
                return None
            if hyper_params.timeout_s is not None and time.monotonic() - start_s > hyper_params.timeout_s:
                process.stop()
                raise TrainingFailed(
                    f"{hyper_params.script} took longer than its {hyper_params.timeout_s:g} s."
                )
            output, reports = process.read(_POLL_S)
            if output:
                context.control.log("\n".join(output))
                lines = [*lines, *output][-_LAST_LINES:]
            for report in reports:
                end_s = time.monotonic()
                yield _read_report(report, duration_s=end_s - epoch_start_s)
                epoch_start_s = end_s
        if process.exit_code != 0:
            raise _failed(hyper_params.script, process.exit_code, lines)
    return None


def _read_report(line: str, *, duration_s: float) -> EpochResult:
    try:
        reported = ReportedEpoch.model_validate_json(line)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']}" for item in error.errors()
        )
        raise TrainingFailed(
            f"The script reported a line that is no epoch ({reasons}): {line[:200]}"
        ) from error
    return EpochResult(**reported.model_dump(), duration_s=duration_s)


def _failed(script: str, exit_code: int, lines: list[str]) -> TrainingFailed:
    said = "\nIts last lines:\n" + "\n".join(lines) if lines else " It printed nothing."
    # What a signal has ended, such as that of a system without memory, may go well the next time.
    kind = TrainerDied if exit_code < 0 or exit_code - 128 in set(signal.Signals) else TrainingFailed
    return kind(f"{script} ended with {describe_exit(exit_code)}.{said}")
