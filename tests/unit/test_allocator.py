"""Threads of a web process share their heaps; each look is at a process of its own, which has no other."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# All threads are there at once, and each has used malloc; glibc then says how many heaps it has.
LOOK = """
import ctypes, pathlib, sys, threading
{first}
barrier = threading.Barrier(24)
def use():
    barrier.wait()
    kept = [bytes(2_000) for _ in range(200)]
    barrier.wait()
threads = [threading.Thread(target=use) for _ in range(24)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
print(pathlib.Path(sys.argv[1]).read_text().count("<heap nr="))
"""


def count_heaps(path: Path, first: str) -> int:
    """Return how many heaps a process with 24 threads has that did something first."""
    command = [sys.executable, "-c", LOOK.format(first=first), str(path)]
    # Its own folder of figures would be left behind: no server runs that deletes it.
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(path.parent)}
    ran = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
def test_all_threads_of_a_web_process_share_two_heaps(tmp_path: Path) -> None:
    limited = "from api.allocator import limit_arenas; assert limit_arenas()"
    assert count_heaps(tmp_path / "limited", limited) <= 2 < count_heaps(tmp_path / "as-it-is", "")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has several heaps")
def test_gunicorn_is_set_up_so(tmp_path: Path) -> None:
    assert count_heaps(tmp_path / "gunicorn", "import runpy; runpy.run_path('gunicorn.conf.py')") <= 2
