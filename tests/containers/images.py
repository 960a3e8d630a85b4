# SPDX-License-Identifier: MIT
"""Images and containers of tests: built once, by Docker or podman, whichever is there."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jobs import REPOSITORY

DOCKER = REPOSITORY / "docker"
ENGINE = str(DOCKER / "engine")
BASE = "debian:bookworm-slim"
LARGEST = {"halocline:ocean": 400e6, "halocline:worker": 1.3e9}  # [bytes]
BUILD = 1500.0  # [s] for an image, on a slow machine


def missing() -> str:
    """Why no container can be had here; "" if one can."""
    if shutil.which("podman") is None and not _answers("docker", "info"):
        return "no podman and no Docker that answers: apt-get install podman"
    if not _answers(ENGINE, "image", "inspect", BASE) and shutil.which("debootstrap") is None:
        return f"no image {BASE}, and no debootstrap to make one: apt-get install debootstrap"
    return ""


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def engine(*words: str, timeout: float = 120.0) -> str:
    """What `docker/engine WORDS` prints. Asserts exit code 0."""
    job = subprocess.run(
        [ENGINE, *words], text=True, capture_output=True, timeout=timeout, check=False
    )
    output = f"{job.stdout[-4000:]}\n{job.stderr[-4000:]}"
    assert job.returncode == 0, f"{' '.join(words)}: exit code {job.returncode}\n{output}"
    return job.stdout


def build_all() -> None:
    """Base image, wheels, and every image, as docs/install.md tells a user."""
    for script in ("base-image", "fetch-wheels"):
        subprocess.run([str(DOCKER / script)], check=True, timeout=BUILD)
    for target in ("ocean", "worker", "all"):
        build(f"halocline:{target}", DOCKER / "Dockerfile", REPOSITORY, "--target", target)
    node = Path(__file__).parent / "node"
    build("halocline:node", node / "Dockerfile", node)


def build(name: str, file: Path, context: Path, *words: str) -> None:
    layers = ["--layers"] if engine("--version").startswith("podman") else []
    engine("build", *layers, "-f", str(file), "-t", name, *words, str(context), timeout=BUILD)


def size(name: str) -> int:
    """Bytes of an image."""
    return int(engine("image", "inspect", "--format", "{{.Size}}", name))


@contextlib.contextmanager
def network(name: str) -> Iterator[str]:
    """A private network between containers."""
    engine("network", "create", "--internal", name)
    try:
        yield name
    finally:
        engine("network", "rm", "--force", name)


@contextlib.contextmanager
def running(image: str, name: str, *words: str) -> Iterator[str]:
    """A container that does what its image does, until the end."""
    engine("run", "--detach", "--rm", "--name", name, "--hostname", name, *words, image)
    try:
        yield name
    finally:
        engine("kill", name)


def address(name: str) -> str:
    """Of a container, in the one network that it is in: podman may know no names there."""
    networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return engine("container", "inspect", "--format", networks, name).strip()
