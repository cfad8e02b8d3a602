"""One mapping of a data file, read key by key and then closed: a key that nobody asked for is refused.

Every refusal is InvalidData and names the file and the path of the key.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from afterglow.errors import InvalidData
from afterglow.provenance import Provenance, parse_verified

T = TypeVar("T")
_REQUIRED: Final = object()


class Fields:
    """A mapping fresh out of YAML, with the path that leads to it.

    Each method takes one key away and checks its type; `close` refuses what is left over, which is where an
    unquoted comma or a misspelt key shows.

    >>> fields = Fields({"name": "PEG", "extra": 1}, "peg.yaml")
    >>> fields.close(fields.text("name"))
    Traceback (most recent call last):
    afterglow.errors.InvalidData: peg.yaml: unknown key; found 'extra'. Correct the key, or quote a text with commas.
    """

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise InvalidData(f"{where}: a mapping is needed", observed=repr(data)[:60])
        self._left: dict[Any, Any] = dict(data)
        self.where = where

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        """The raw value of a key.

        Raises: InvalidData if the key is absent and has no default.
        """
        if key not in self._left and default is _REQUIRED:
            raise InvalidData(f"{self.where}: the key is missing", observed="nothing", allowed=key)
        return self._left.pop(key, default)

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """A text; Any because the default may be None."""
        return self._typed(key, str, default)

    def whole(self, key: str, default: Any = _REQUIRED) -> Any:
        """A whole number."""
        return self._typed(key, int, default)

    def number(self, key: str, default: Any = _REQUIRED) -> Any:
        """A number."""
        return self._typed(key, (int, float), default)

    def flag(self, key: str) -> bool:
        """True or False; absent is False."""
        return bool(self._typed(key, bool, default=False))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; absent is empty."""
        values = self._typed(key, list, [])
        for value in values:
            self._check(key, value, str)
        return tuple(values)

    def pair(self, key: str, default: Any = _REQUIRED) -> Any:
        """Two numbers in order, lowest first."""
        values = self._typed(key, list, default)
        if isinstance(values, list):
            for value in values:
                self._check(key, value, (int, float))
            if len(values) != 2 or not values[0] <= values[1]:
                raise InvalidData(f"{self.where}.{key}: two numbers, lowest first", observed=repr(values))
            return (values[0], values[1])
        return values

    def table(self, key: str, keys: type, values: type) -> dict[Any, Any]:
        """A mapping with keys and values of one type each; absent is empty."""
        table = self._typed(key, dict, {})
        for name, value in table.items():
            self._check(key, name, keys)
            self._check(key, value, values)
        return dict(table)

    def one(self, key: str) -> Fields:
        """The mapping under a key."""
        return Fields(self.take(key), f"{self.where}.{key}")

    def many(self, key: str) -> list[Fields]:
        """The mappings of a list; absent is empty."""
        values = self._typed(key, list, [])
        return [Fields(value, f"{self.where}.{key}[{number}]") for number, value in enumerate(values, start=1)]

    def has(self, key: str) -> bool:
        """Whether the key is there and not yet taken."""
        return key in self._left

    def provenance(self) -> Provenance:
        """`verified`, `source` and `note` of this mapping."""
        verified = parse_verified(self.take("verified", None), where=self.where)
        source, note = self.texts("source"), self.text("note", None)
        try:
            return Provenance(source=source, verified=verified, note=note)
        except InvalidData as error:
            raise InvalidData(f"{self.where}: {error.refused}", next_step=error.next_step) from None

    def close(self, built: T) -> T:
        """What was built from this mapping, once nothing of it is left over."""
        if self._left:
            raise InvalidData(
                f"{self.where}: unknown key",
                observed=", ".join(map(repr, self._left)),
                next_step="Correct the key, or quote a text with commas",
            )
        return built

    def _typed(self, key: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value = self.take(key, default)
        return value if value is default else self._check(key, value, kind)

    def _check(self, key: str, value: Any, kind: type | tuple[type, ...]) -> Any:
        # A bool is an int to Python, and `no` is False to YAML: neither is a number here.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise InvalidData(f"{self.where}.{key}: wrong type", observed=repr(value)[:60], allowed=names)
        return value
