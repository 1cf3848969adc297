"""Hosts of a network that a test makes: network namespaces on one switch, which can be unplugged."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import pytest

_NETWORK: Final = "10.77.0"
_SWITCH: Final = "switch"


class Hosts:
    """Namespaces named after what they are for, one address each; nothing of it is on the real network."""

    def __init__(self, names: Sequence[str]) -> None:
        self._prefix = f"wattle{os.getpid()}"
        self._names = names
        self.addresses: Mapping[str, str] = {
            name: f"{_NETWORK}.{number}" for number, name in enumerate(names, start=1)
        }

    def make(self) -> None:
        """Make the hosts and plug them in. Raises CalledProcessError where this user may not."""
        for name in (_SWITCH, *self._names):
            _ip("netns", "add", self._place(name))
        self._at(_SWITCH, "link", "add", "name", "hub", "type", "bridge")
        self._at(_SWITCH, "link", "set", "dev", "hub", "up")
        for name, address in self.addresses.items():
            plug = ("type", "veth", "peer", "name", "eth0", "netns", self._place(name))
            self._at(_SWITCH, "link", "add", "name", _port(name), *plug)
            self._at(_SWITCH, "link", "set", "dev", _port(name), "master", "hub", "up")
            for device in ("lo", "eth0"):
                self._at(name, "link", "set", "dev", device, "up")
            self._at(name, "addr", "add", f"{address}/24", "dev", "eth0")

    def remove(self) -> None:
        """Remove what there is."""
        for name in (_SWITCH, *self._names):
            # One that could not be made is not there.
            subprocess.run(["ip", "netns", "del", self._place(name)], check=False, stderr=subprocess.DEVNULL)

    def on(self, name: str) -> Sequence[str]:
        """Return what stands before a command that is to run on a host."""
        return ("ip", "netns", "exec", self._place(name))

    def cut_off(self, name: str) -> None:
        """Unplug a host: nobody is told, what it sends is lost."""
        self._at(_SWITCH, "link", "set", "dev", _port(name), "down")

    def plug_in(self, name: str) -> None:
        """Plug it in again."""
        self._at(_SWITCH, "link", "set", "dev", _port(name), "up")

    def _place(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _at(self, name: str, *command: str) -> None:
        _ip("-n", self._place(name), *command)


def _port(name: str) -> str:
    return f"to-{name}"


def _ip(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True, text=True)


@contextmanager
def hosts_named(*names: str) -> Iterator[Hosts]:
    """Make hosts, or skip the test with the reason why this machine or user may not have them."""
    if shutil.which("ip") is None:
        pytest.skip("there is no ip: apt-get install iproute2")
    hosts = Hosts(names)
    try:
        try:
            hosts.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network of one's own here: {error.stderr.strip()}")
        yield hosts
    finally:
        hosts.remove()
