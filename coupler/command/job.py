# SPDX-License-Identifier: MIT
"""Start a launched job, pass on what it prints, and end all of it whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from coupler.command.launch import Launch

TICK = 0.1  # [s] between two looks at a running job
PATIENCE = 5.0  # [s] for the launcher to end its ranks before they are killed
FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `code` is 0 only if every rank ended well."""

    code: int
    reason: str  # "" when it ended well
    seconds: float

    @property
    def failed(self) -> bool:
        return self.code != 0


def run_job(
    launch: Launch,
    log: Path,
    show: Callable[[str], None],
    tick: Callable[[], None],
    environment: dict[str, str],
    timeout: float | None,
) -> Outcome:
    """Run to the end. Each line goes to `log` and, without its line end, to `show`.

    `tick` is called every TICK; `environment` comes beside that of `launch`. Ctrl-C, SIGTERM and
    `timeout` [s] end the job and wait for it. Raises OSError where there can be no `log`.
    """
    begun = time.perf_counter()
    kept = log.open("w", encoding="utf-8", buffering=1)
    process = subprocess.Popen(
        launch.command,
        cwd=launch.directory,
        env=os.environ | launch.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the job
    )
    reader = threading.Thread(target=_copy, args=(process, kept, show), daemon=True)
    reader.start()
    reason = ""
    code = None
    try:
        with _ended_by_signals():
            while process.poll() is None:
                tick()
                if timeout is not None and time.perf_counter() - begun > timeout:
                    reason = f"it ran longer than --timeout {timeout:g} s"
                    break
                time.sleep(TICK)
    except KeyboardInterrupt:
        code, reason = INTERRUPTED, "it was interrupted"
    finally:
        _end(process)
        reader.join(PATIENCE)
    tick()
    if code is None:
        reason = reason or exit_reason(process.returncode)
        code = FAILED if reason else 0
    return Outcome(code, reason, time.perf_counter() - begun)


def exit_reason(code: int) -> str:
    """ "" for success, else words: launchers report a rank's signal as 128 + its number."""
    if code == 0:
        return ""
    number = -code if code < 0 else code - 128
    who = "the launcher" if code < 0 else "a rank"
    try:
        return f"{who} was ended by signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"exit code {code}"


def _copy(process: subprocess.Popen[str], log: TextIO, show: Callable[[str], None]) -> None:
    """Whatever happens to the log or to who looks on: a pipe that nobody reads stops the job."""
    assert process.stdout is not None
    logged = shown = True
    for line in process.stdout:
        lines = [line.rstrip("\r\n")]
        try:
            if logged:
                log.write(line)
        except OSError as error:  # a full disk
            logged = False
            lines.append(f"{log.name}: {error.strerror}; what comes now is only shown here")
        try:
            for text in lines if shown else ():
                show(text)
        except (OSError, SystemExit):  # as in `halocline run ... | head`
            shown = False
    with suppress(OSError):  # what could not be written is tried once more
        log.close()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Being told to end is like Ctrl-C: the job must not be left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[str]) -> None:
    """End and reap the launcher; it ends its ranks. What it leaves behind is killed."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    for pid in _session(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _session(leader: int) -> list[int]:
    """Living processes of the session that the job was started in: the launcher, its ranks.

    Ranks have process groups of their own, so the launcher's group does not name them.
    """
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent group session ...; the name may hold blanks
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found
