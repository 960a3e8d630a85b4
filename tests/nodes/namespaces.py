# SPDX-License-Identifier: MIT
"""Two nodes on one machine: network namespaces with names and addresses of their own, joined by a
pair of virtual interfaces. mpirun's launch agent enters them as it would log in through ssh."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SLOTS = 8  # of each node: ranks are placed by --map-by, never by what is full


@dataclass(frozen=True)
class Node:
    """A namespace; its name is its host's, too."""

    name: str
    address: str


def missing() -> str:
    """Why no namespace can be made here; "" if one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "no ip, unshare: apt-get install iproute2 util-linux"
    name = f"hcl-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return "this machine makes no network namespaces"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def two_nodes(directory: Path) -> Iterator[str]:
    """The path of an mpirun whose ranks may be on both; scripts are written to `directory`."""
    number = os.getpid()
    nodes = [Node(f"hcl-{side}-{number}", f"198.51.100.{n}") for n, side in enumerate("ab", 1)]
    try:
        for node in nodes:
            ip("netns", "add", node.name)
            ip("-n", node.name, "link", "set", "lo", "up")
        first, second = (node.name for node in nodes)
        peer = ("type", "veth", "peer", "name", "hcl0", "netns", second)
        ip("link", "add", "hcl0", "netns", first, *peer)
        for node in nodes:
            ip("-n", node.name, "address", "add", f"{node.address}/24", "dev", "hcl0")
            ip("-n", node.name, "link", "set", "hcl0", "up")
        yield str(_write_mpirun(directory, nodes))
    finally:
        for node in nodes:  # its interface goes with it
            subprocess.run(["ip", "netns", "del", node.name], capture_output=True, check=False)


def _write_mpirun(directory: Path, nodes: list[Node]) -> Path:
    """An mpirun that runs on the first node, and starts what is on the others by an agent."""
    agent = _script(
        directory / "agent",
        "# called as ssh is: HOST COMMAND...",
        "host=$1",
        "shift",
        *(f'[ $host != {n.address} ] || {_inside(n)} sh -c "$*"' for n in nodes),
        "echo no node $host >&2",
        "exit 1",
    )
    hosts = ",".join(f"{node.address}:{SLOTS}" for node in nodes)
    words = [f"--mca plm_rsh_agent {agent}", "--mca btl_tcp_if_include hcl0"]
    words += ["--mca oob_tcp_if_include hcl0", f"--host {hosts}"]
    return _script(directory / "mpirun", f'{_inside(nodes[0])} mpirun {" ".join(words)} "$@"')


def _inside(node: Node) -> str:
    """A shell's words: what follows replaces the shell and runs on `node`."""
    enter = f"exec ip netns exec {node.name} unshare --uts"
    return f"{enter} sh -c 'hostname {node.name}; exec \"$@\"' sh"


def _script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path
