"""A real load: ``python -m bench.energy_load DEVICE THREADS``; a line with seconds works that long.

Matrix products of torch. On a CPU each thread has its own, so that all of them are busy all the time; on a
GPU there is one stream of large ones. The answer is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch

CPU_SIDE, GPU_SIDE = 512, 8_192
# Between two looks at the clock; the GPU is waited for then.
GPU_PRODUCTS = 8


def multiply_on_cpu(until_s: float) -> int:
    """Multiply on one thread until that moment of ``time.monotonic()``; return the number of products."""
    left = torch.randn(CPU_SIDE, CPU_SIDE)
    out = torch.empty_like(left)
    products = 0
    while time.monotonic() < until_s:
        torch.mm(left, left, out=out)
        products += 1
    return products


def multiply_on_gpu(until_s: float, device: str) -> int:
    """Multiply on the GPU until that moment, and until it has finished."""
    left = torch.randn(GPU_SIDE, GPU_SIDE, device=device, dtype=torch.bfloat16)
    products = 0
    while time.monotonic() < until_s:
        for _ in range(GPU_PRODUCTS):
            torch.mm(left, left)
        torch.cuda.synchronize(device)
        products += GPU_PRODUCTS
    return products


def work(device: str, threads: int, seconds: float) -> dict[str, float]:
    """Work, and say what it took."""
    start_s, cpu_s = time.monotonic(), time.process_time()
    until_s = start_s + seconds
    if device == "cpu":
        with ThreadPoolExecutor(threads) as pool:
            products = sum(pool.map(multiply_on_cpu, [until_s] * threads))
    else:
        products = multiply_on_gpu(until_s, device)
    return {
        "wall_s": time.monotonic() - start_s,
        "cpu_s": time.process_time() - cpu_s,
        "products": float(products),
    }


def main() -> None:
    """Answer every line."""
    device, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    work(device, threads, 0.2)  # the first product pays for loading the library's kernels
    for line in sys.stdin:
        print(json.dumps(work(device, threads, float(line))), flush=True)


if __name__ == "__main__":
    main()
