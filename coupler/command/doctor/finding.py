# SPDX-License-Identifier: MIT
"""One line of the doctor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of `topic`; `mend` says what to do where it is not ok."""

    topic: str
    status: Status
    text: str
    mend: str = ""


def ok(topic: str, text: str) -> Finding:
    return Finding(topic, "ok", text)


def warning(topic: str, text: str, mend: str) -> Finding:
    return Finding(topic, "warning", text, mend)


def error(topic: str, text: str, mend: str) -> Finding:
    return Finding(topic, "error", text, mend)
