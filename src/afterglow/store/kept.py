"""What a process has read of the records, kept for the next reader: opening and reading is most of what a page costs.

Facts never change and things seldom do. A value is kept under the very bytes of its row and the key that opens them,
so that a row that holds anything else is read anew; it is given out only where the patient's key is still there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

Read = tuple[Any, bytes | None, str, bytes]
"""Kind, key, place and stored bytes of what was read."""
_NOTHING: Final = object()


@dataclass(slots=True)
class Kept:
    """Values by what they were read from, at most `size` bytes of stored rows; what is not read again goes first.

    A value that is kept is found without a lock: with one, all threads of a busy server stand in line behind whichever
    of them the interpreter put to sleep with it. So the order of use is kept roughly: what is read goes into the new
    half, and a full new half becomes the old one, whose values go unless they are read meanwhile.

    >>> kept = Kept(size=8)
    >>> [kept.get((str, None, "a", body), body.decode) for body in (b"ab", b"cd", b"ab", b"ef", b"ab", b"gh")]
    ['ab', 'cd', 'ab', 'ef', 'ab', 'gh']
    >>> len(kept)
    3
    """

    size: int
    _new: dict[Read, Any] = field(default_factory=dict)
    _old: dict[Read, Any] = field(default_factory=dict)
    _held: int = 0
    _lock: Lock = field(default_factory=Lock)

    def __len__(self) -> int:
        return len(self._new.keys() | self._old.keys())

    def get(self, read: Read, make: Callable[[], Any]) -> Any:
        """The value that is kept; else the one made now, which is kept from here on."""
        value = self._new.get(read, _NOTHING)
        if value is _NOTHING:
            value = self._old.get(read, _NOTHING)
            if value is _NOTHING:
                value = make()
            self._keep(read, value)
        return value

    def _keep(self, read: Read, value: Any) -> None:
        with self._lock:
            if read in self._new:
                return
            if self._held + len(read[-1]) > self.size // 2:
                self._old, self._new, self._held = self._new, {}, 0
            self._new[read] = value
            self._held += len(read[-1])

    def forget(self) -> None:
        """Drop everything: a patient was erased."""
        with self._lock:
            self._new, self._old, self._held = {}, {}, 0
