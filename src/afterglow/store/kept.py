"""What a process has read of the records, kept for the next reader: opening and reading is most of what a page costs.

Facts never change and things seldom do. A value is kept under the very bytes of its row and the key that opens them,
so that a row that holds anything else is read anew; it is given out only where the patient's key is still there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

Read = tuple[Any, bytes | None, str, bytes]
"""Kind, key, place and stored bytes of what was read."""


@dataclass(slots=True)
class Kept:
    """Values by what they were read from, at most `size` bytes of stored rows; the least used go first.

    >>> kept = Kept(size=3)
    >>> [kept.get((str, None, "a", body), body.decode) for body in (b"ab", b"cd", b"cd")], len(kept)
    (['ab', 'cd', 'cd'], 1)
    """

    size: int
    _values: OrderedDict[Read, Any] = field(default_factory=OrderedDict)
    _held: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, read: Read, make: Callable[[], Any]) -> Any:
        """The value that is kept; else the one made now, which is kept from here on."""
        with self._lock:
            if read in self._values:
                self._values.move_to_end(read)
                return self._values[read]
        value = make()
        with self._lock:
            if read not in self._values:
                self._held += len(read[-1])
            self._values[read] = value
            while self._held > self.size:
                gone, _ = self._values.popitem(last=False)
                self._held -= len(gone[-1])
        return value

    def forget(self) -> None:
        """Drop everything: a patient was erased."""
        with self._lock:
            self._values.clear()
            self._held = 0
