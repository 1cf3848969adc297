"""What a device can compute with, and what is said where it cannot."""

from __future__ import annotations

import pytest
import torch

from errors import TrainingFailed
from trainers.device import prepare_device
from trainers.precision import autocast, resolve_precision

CPU = torch.device("cpu")
GPU = torch.device("cuda:0")


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_computes_in_the_fastest_precision_it_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert resolve_precision("auto", GPU) == precision
    assert resolve_precision("fp32", GPU) == "fp32"
    assert resolve_precision("fp16", GPU) == "fp16"


def test_an_old_gpu_refuses_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(TrainingFailed, match="bf16 is not built into this cuda"):
        resolve_precision("bf16", GPU)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_computes_in_bf16_only_when_it_is_asked_to(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: True})
    assert resolve_precision("auto", CPU) == "fp32"
    assert resolve_precision("bf16", CPU) == "bf16"


def test_a_cpu_without_bf16_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.raises(TrainingFailed, match="Use fp32 or auto"):
        resolve_precision("bf16", CPU)


def test_fp16_is_for_gpus() -> None:
    with pytest.raises(TrainingFailed, match="fp16 is for GPUs"):
        resolve_precision("fp16", CPU)


def test_the_context_of_a_precision_can_be_entered_again_and_again() -> None:
    layer, features = torch.nn.Linear(4, 4), torch.rand(2, 4)
    context = autocast(CPU, "bf16")
    for _ in range(2):
        with context:
            assert layer(features).dtype == torch.bfloat16
        assert layer(features).dtype == torch.float32


def test_a_network_is_not_compiled_for_a_cpu() -> None:
    with pytest.raises(TrainingFailed, match="Set it to off"):
        prepare_device("cpu", is_deterministic=False, is_compiled=True)
    prepare_device("cpu", is_deterministic=True, is_compiled=False)
    assert not torch.are_deterministic_algorithms_enabled()
