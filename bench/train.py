"""How fast the training loop is: against the loop it replaces, and against the hardware's floor.

(a) is the loop of the original program, in a process of its own as it comes: fp32, PIL images through a
DataLoader without workers, ``.item()`` after every batch. (b) is ours under a worker's settings. (c), the
floor, is forward, backward and step on one resident batch for as many steps, and the forward passes of the
evaluation; it loads nothing and counts nothing. All three train the same network (small_cnn) on as many
images with the same batch size and Adam. Rounds are interleaved and every figure is a median over rounds: of
seconds for comparisons with (a), of CPU seconds for those with the floor, since wall time is noisy.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.train_spec import Spec
from bench.train_variants import Figures, Job
from carbon_aware_trainer.energy import choose_meter
from carbon_aware_trainer.errors import CarbonError

ROOT = Path(__file__).resolve().parent.parent
# (a) takes most of the time: it is measured once in a round, ours and the floor several times.
REPEATS = 3
_LOAD_EVERY_S = 0.2


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    images_28: tuple[int, int]
    images_32: tuple[int, int]
    seeds: int
    accuracy_epochs: int


FULL = Scale(5, (60_000, 10_000), (50_000, 10_000), seeds=5, accuracy_epochs=10)
QUICK = Scale(2, (2_048, 341), (1_024, 204), seeds=2, accuracy_epochs=2)


class Process:
    """A process that trains an epoch of one of its loops when it is asked to."""

    def __init__(self, job: Job) -> None:
        # As it comes means without a worker's settings too, should this program have inherited some.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
        if job.is_tuned:
            environment["OMP_WAIT_POLICY"] = "passive"
        self.specs = job.specs
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.train_variants", json.dumps(asdict(job))],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def train_epoch(self, number: int) -> Figures:
        """Train one epoch of a loop."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"The process of {self.specs[number]} ended; run bench.train_variants alone.")
        return Figures(**json.loads(answer))

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Comparison:
    """The epochs of (a), of ours and of the floor, if any, over all rounds; ratios are medians over pairs."""

    original: Sequence[Figures]
    ours: Sequence[Figures]
    floor: Sequence[Figures]
    is_on_gpu: bool = False

    @property
    def ours_over_floor(self) -> float:
        """In CPU seconds; on a GPU in seconds, since the CPU's say nothing about it."""
        pairs = [
            (ours.wall_s, floor.wall_s) if self.is_on_gpu else (ours.cpu_s, floor.cpu_s)
            for ours, floor in zip(self.ours, self.floor, strict=True)
        ]
        return statistics.median(ours_s / floor_s for ours_s, floor_s in pairs)

    @property
    def original_over_ours(self) -> float:
        """In seconds; each epoch of (a) against the epochs of ours in its round."""
        ratios = []
        for number, original in enumerate(self.original):
            near = self.ours[number * REPEATS : (number + 1) * REPEATS]
            ratios.append(original.wall_s / statistics.median(epoch.wall_s for epoch in near))
        return statistics.median(ratios)

    def show(self, title: str) -> None:
        """Print seconds per epoch."""
        print(title)
        for name, epochs in (("original", self.original), ("ours", self.ours), ("floor", self.floor)):
            if epochs:
                wall_s, cpu_s = (statistics.median(values) for values in _columns(epochs))
                print(f"  {name:9}{wall_s:9.3f} s {cpu_s:9.3f} CPU s per epoch, median of {len(epochs)}")
        (_, original_cpu_s), (_, ours_cpu_s) = (
            map(statistics.median, _columns(epochs)) for epochs in (self.original, self.ours)
        )
        cpu_ratio = original_cpu_s / ours_cpu_s
        print(f"  original / ours {self.original_over_ours:.2f} in s, {cpu_ratio:.2f} in CPU s")
        if self.floor:
            print(
                f"  ours / floor {self.ours_over_floor:.3f} in {'s' if self.is_on_gpu else 'CPU s'}",
                flush=True,
            )


def _columns(epochs: Sequence[Figures]) -> tuple[list[float], list[float]]:
    return [epoch.wall_s for epoch in epochs], [epoch.cpu_s for epoch in epochs]


def compare(processes: Sequence[tuple[Process, int]], rounds: int) -> list[list[Figures]]:
    """Train interleaved epochs, the first loop's once in a round, after one of each that does not count."""
    found: list[list[Figures]] = [[] for _ in processes]
    for process, number in processes:
        process.train_epoch(number)
    for _ in range(rounds):
        for repeat in range(REPEATS):
            for place, (process, number) in enumerate(processes):
                if place > 0 or repeat == 0:
                    found[place].append(process.train_epoch(number))
    return found


def make_specs(side: int, scale: Scale, precision: str, device: str) -> dict[str, Spec]:
    """Return the three loops, each in its precision."""
    images = scale.images_28 if side == 28 else scale.images_32
    ours = Spec(
        loop="ours",
        side=side,
        precision=precision,
        augmentation="none" if side == 28 else "crop_flip",
        train_images=images[0],
        test_images=images[1],
        batch_size=1024 if side == 28 else 512,
        device=device,
    )
    return {
        "original": replace(ours, loop="original", precision="fp32"),
        "ours": ours,
        "floor": replace(ours, loop="floor"),
    }


def compare_accuracy(processes: Mapping[str, Process], scale: Scale) -> None:
    """Print the final accuracies of (a) and ours over seeds; specs after the first are one seed each."""
    finals: dict[str, list[float]] = {}
    for name, process in processes.items():
        for number in [place for place, spec in enumerate(process.specs) if spec.batch_size == 128]:
            epochs = [process.train_epoch(number) for _ in range(scale.accuracy_epochs)]
            finals.setdefault(name, []).append(epochs[-1].accuracy)
    (first, original), (second, ours) = finals.items()
    gap = abs(statistics.mean(original) - statistics.mean(ours))
    spread = max(max(values) - min(values) for values in finals.values())
    verdict = "agree within" if gap <= spread else "DIFFER BY MORE THAN"
    print(f"final accuracy on digits at 28 x 28 after {scale.accuracy_epochs} epochs, {scale.seeds} seeds:")
    for name, values in ((first, original), (second, ours)):
        print(f"  {name:9}{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")
    print(f"  they {verdict} the spread over seeds, {spread:.4f}", flush=True)


@dataclass(frozen=True)
class Consumption:
    """What epochs of ours took from the hardware; None is unknown."""

    epochs: int
    joules: float | None
    source: str
    gpu_utilisation: float | None


def measure_consumption(
    train_epoch: Callable[[], object], device: str, *, least_s: float, nvml: Any = None
) -> Consumption:
    """Train epochs for at least ``least_s``, reading the meter at both ends and the GPU's load meanwhile."""
    read_load = open_gpu_load(device, nvml=nvml)
    epochs, loads = 0, []
    begun = _begin_reading(device, nvml=nvml)
    # Finding the meter takes a while on a busy machine; that is no training.
    end_s = time.monotonic() + least_s
    with ThreadPoolExecutor(1) as pool:
        while epochs == 0 or time.monotonic() < end_s:
            training = pool.submit(train_epoch)
            while not wait([training], timeout=_LOAD_EVERY_S).done:
                loads += read_load()
            training.result()
            epochs += 1
        loads += read_load()
    joules, source = begun()
    load = statistics.mean(loads) if loads else None
    return Consumption(epochs, None if joules is None else joules / epochs, source, load)


def _begin_reading(device: str, *, nvml: Any = None) -> Callable[[], tuple[float | None, str]]:
    """Return what ends the measurement: the joules since now and their sources, or None and the reason."""
    try:
        meter = choose_meter(device, root_pid=os.getpid(), nvml=nvml)
    except CarbonError as error:
        return functools.partial(lambda reason: (None, reason), str(error))
    start_j = meter.read().joules

    def end() -> tuple[float | None, str]:
        counters = meter.read()
        meter.close()
        counted = [source for source in meter.sources if source.is_counted]
        if reason := next((counters.lost[one.key] for one in counted if one.key in counters.lost), None):
            return None, reason
        used_j = sum(counters.joules[source.key] - start_j[source.key] for source in counted)
        return used_j, " + ".join(f"{source.text}, {source.quality}" for source in counted)

    return end


def open_gpu_load(device: str, *, nvml: Any = None) -> Callable[[], list[float]]:
    """Return what reads how busy the GPU was, a fraction, over about the last second; nothing on a CPU."""
    if not device.startswith("cuda"):
        return list
    nvml = nvml or importlib.import_module("pynvml")
    nvml.nvmlInit()
    gpu = nvml.nvmlDeviceGetHandleByIndex(int(device.partition(":")[2] or 0))
    return lambda: [nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100]


def show_consumption(used: Consumption, at_28: Comparison, images: int) -> None:
    """Print the joules of an epoch, and on a GPU its load and how near to the floor's speed ours is."""
    joules = "unknown" if used.joules is None else f"{used.joules:.1f} J"
    print(f"energy of an epoch of ours: {joules} ({used.source}; mean of {used.epochs})")
    if used.gpu_utilisation is not None:
        wall_s = statistics.median(epoch.wall_s for epoch in at_28.ours)
        print(f"GPU: {images / wall_s:,.0f} images/s, utilisation {used.gpu_utilisation:.0%}")
        print(f"ours has {1 / at_28.ours_over_floor:.1%} of the floor's speed; the goal is 95 % or more")


def main() -> None:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds; under 45 s")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="bf16", help="of ours and the floor (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    small, large = (make_specs(side, scale, options.precision, options.device) for side in (28, 32))
    digits = replace(small["ours"], train_images=1437, test_images=360, batch_size=128)
    seeds = [replace(digits, seed=seed) for seed in range(scale.seeds)]
    slow = [replace(spec, loop="original", precision="fp32") for spec in seeds]
    fp32 = replace(small["ours"], precision="fp32")
    untuned = Process(Job((small["original"], large["original"], *slow), False, options.threads))
    tuned = Process(
        Job(
            (small["ours"], small["floor"], fp32, large["ours"], large["floor"], *seeds),
            True,
            options.threads,
        )
    )
    try:
        print(json.dumps(measure(untuned, tuned, scale, options)))
    finally:
        untuned.end()
        tuned.end()


def measure(
    untuned: Process, tuned: Process, scale: Scale, options: argparse.Namespace
) -> dict[str, float | str]:
    """Print every comparison and return the figures of the last line."""
    precision, rounds = options.precision, scale.rounds
    original, ours, floor, ours_fp32 = compare([(untuned, 0), (tuned, 0), (tuned, 1), (tuned, 2)], rounds)
    is_on_gpu = options.device.startswith("cuda")
    at_28 = Comparison(original, ours, floor, is_on_gpu=is_on_gpu)
    in_fp32 = Comparison(original, ours_fp32, ())
    original, ours, floor = compare([(untuned, 1), (tuned, 3), (tuned, 4)], rounds)
    at_32 = Comparison(original, ours, floor, is_on_gpu=is_on_gpu)
    at_28.show(f"28 x 28, {scale.images_28[0]} images, batch 1024, ours in {precision}")
    in_fp32.show(f"28 x 28, {scale.images_28[0]} images, batch 1024, ours in fp32")
    at_32.show(f"32 x 32, crop and flip, {scale.images_32[0]} images, batch 512, ours in {precision}")
    compare_accuracy({"original": untuned, "ours": tuned}, scale)
    # Many short epochs: a GPU's counter moves every 0.1 s only, its load is a mean over about a second.
    least_s = 5.0 if is_on_gpu else 0.0
    used = measure_consumption(lambda: tuned.train_epoch(0), options.device, least_s=least_s)
    show_consumption(used, at_28, scale.images_28[0])
    epoch_s = statistics.median(epoch.wall_s for epoch in at_28.ours)
    return {
        "ours_over_floor_28": round(at_28.ours_over_floor, 3),
        "original_over_ours_28": round(at_28.original_over_ours, 2),
        "original_over_ours_28_fp32": round(in_fp32.original_over_ours, 2),
        "ours_over_floor_32": round(at_32.ours_over_floor, 3),
        "dataloader_over_ours_32": round(at_32.original_over_ours, 2),
        "images_per_s_28": round(scale.images_28[0] / epoch_s),
        "device": options.device,
    }


if __name__ == "__main__":
    main()
