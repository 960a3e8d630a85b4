# SPDX-License-Identifier: MIT
"""What a step receives, field by field: work on the first begins while others are on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coupler.transport.inbox import Inbox

Array = NDArray[np.floating]


class Inputs(Mapping[str, Array]):
    """Padded arrays (level, y, x) by name. Looking one up waits until all of it is here; listing
    the names does not wait."""

    def __init__(self, inboxes: Sequence[Inbox], receive: Callable[[Inbox, str], None]) -> None:
        """`receive` returns when all of a field has come."""
        self._inboxes = {f.name: inbox for inbox in inboxes for f in inbox.channel.fields}
        self._receive = receive
        self._received: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._received:
            inbox = self._inboxes[name]
            self._receive(inbox, name)
            self._received[name] = inbox.arrays[name]
        return self._received[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inboxes)

    def __len__(self) -> int:
        return len(self._inboxes)

    def __contains__(self, name: object) -> bool:
        return name in self._inboxes
