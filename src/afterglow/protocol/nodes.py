"""YAML as values that know their line.

Every scalar stays the text that was typed: YAML's own guesses (`no` is false, `1:30` is ninety, `012` is ten) never
happen, and a value is interpreted only by the kind that its key asks for. Tags, anchors and aliases have no use in
these files and are refused, so a short file cannot grow into a large one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import yaml

from afterglow.errors import MalformedFile, MissingValue, Place, UnknownName, WrongOrder, echo

DEEPEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of a file: text, a list or a mapping, with the line it stands on.

    Args:
        place: file and line.
        path: the keys that lead here ("population.n"), empty for the whole document.
    """

    place: Place
    path: str
    value: str | tuple[Node, ...] | Mapping[str, Node]

    def text(self) -> str:
        """The value as it was typed.

        Raises: MalformedFile for a list or mapping; MissingValue if nothing was typed.
        """
        if not isinstance(self.value, str):
            raise self._shape("one value")
        if not self.value.strip():
            raise MissingValue(
                f"{self.path or 'The file'} has no value", next_step="Give a value, or leave it out", place=self.place
            )
        return self.value

    def items(self) -> tuple[Node, ...]:
        """The parts of a list.

        Raises: MalformedFile for anything else.
        """
        if not isinstance(self.value, tuple):
            raise self._shape("a list, as in [1, 2]")
        return self.value

    def entries(self) -> Mapping[str, Node]:
        """The parts of a mapping.

        Raises: MalformedFile for anything else.
        """
        if not isinstance(self.value, Mapping):
            raise self._shape("keys with values, as in {key: value}")
        return self.value

    def fields(self, allowed: Iterable[str]) -> Mapping[str, Node]:
        """The parts of a mapping that may have these keys only.

        Raises: UnknownName at the first other key, with the closest allowed one.
        """
        known = tuple(allowed)
        for name, node in self.entries().items():
            if name not in known:
                close = difflib.get_close_matches(name.lower(), known, n=1)
                hint = f"Did you mean {close[0]}?" if close else None
                if name.strip().isdigit():  # {mean: 32,6} is {mean: 32, 6: nothing}
                    hint = "Write decimals with a point, as in 32.6"
                raise UnknownName(
                    f"{self.path or 'The file'} has no key of this name",
                    observed=echo(name),
                    allowed=", ".join(known),
                    next_step=hint,
                    place=node.place,
                )
        return self.entries()

    def place_of(self, path: str | None) -> Place:
        """Where the deepest existing part of a dotted path stands."""
        node = self
        for name in (path or "").split("."):
            if not isinstance(node.value, Mapping) or name not in node.value:
                break
            node = node.value[name]
        return node.place

    def _shape(self, wanted: str) -> MalformedFile:
        shape = {str: "one value", tuple: "a list"}.get(type(self.value), "a mapping")
        observed = f"{shape} ({echo(self.value)})" if isinstance(self.value, str) else shape
        return MalformedFile(
            f"{self.path or 'The file'} has the wrong shape", observed=observed, allowed=wanted, place=self.place
        )


def read_yaml(text: str, *, file: str) -> Node:
    r"""The one document of a YAML text.

    Raises: MalformedFile if the text is empty, not YAML, several documents, nested too deeply, or uses tags, anchors
    or aliases; WrongOrder if a key stands twice.

    >>> read_yaml("dose: 84 mg\ndays: [0, 3]", file="plan.yaml").entries()["days"].place.line
    2
    """
    try:
        return _Composer(text, file).document()
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        raise MalformedFile(
            "The file is not YAML",
            observed=str(getattr(fault, "problem", fault)).removeprefix("found "),
            next_step="Check brackets, quotes and the indentation of this line and the one before",
            place=Place(file=file, line=None if mark is None else mark.line + 1),
        ) from None


class _Composer:
    """Walks the event stream, so that depth is checked before anything is built."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._file = file

    def document(self) -> Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise MalformedFile("The file is empty", place=Place(file=self._file))
        root = self._node(next(self._events), path="", depth=0)
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise MalformedFile(
                "The file holds several documents",
                allowed="one",
                next_step="Keep one and remove the line ---",
                place=self._place(event),
            )
        return root

    def _node(self, event: yaml.Event, *, path: str, depth: int) -> Node:
        place = self._place(event)
        self._refuse_tricks(event, place, path)
        if isinstance(event, yaml.ScalarEvent):
            return Node(place=place, path=path, value=event.value)
        if depth == DEEPEST:
            raise MalformedFile("The file is nested too deeply", allowed=f"{DEEPEST} levels", place=place)
        if isinstance(event, yaml.SequenceStartEvent):
            items = tuple(
                self._node(item, path=f"{path}[{number}]", depth=depth + 1)
                for number, item in enumerate(self._until(yaml.SequenceEndEvent), start=1)
            )
            return Node(place=place, path=path, value=items)
        return Node(place=place, path=path, value=self._mapping(path, depth + 1))

    def _mapping(self, path: str, depth: int) -> Mapping[str, Node]:
        entries: dict[str, Node] = {}
        for key in self._until(yaml.MappingEndEvent):
            place = self._place(key)
            self._refuse_tricks(key, place, path)
            if not isinstance(key, yaml.ScalarEvent):
                raise MalformedFile("A key is one word", allowed="key: value", place=place)
            if key.value in entries:
                raise WrongOrder(
                    "The same key stands twice",
                    observed=f"{echo(key.value)}, first on line {entries[key.value].place.line}",
                    next_step="Keep one of the two",
                    place=place,
                )
            value = self._node(next(self._events), path=f"{path}.{key.value}".lstrip("."), depth=depth)
            entries[key.value] = Node(place=place, path=value.path, value=value.value)
        return entries

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _refuse_tricks(self, event: yaml.Event, place: Place, path: str) -> None:
        if getattr(event, "anchor", None) or getattr(event, "tag", None):  # an alias carries its anchor's name
            raise MalformedFile(
                f"{path or 'The file'} uses a YAML tag, anchor or alias",
                allowed="plain keys and values",
                next_step="Write the value out; quote text that begins with &, * or !",
                place=place,
            )

    def _place(self, event: yaml.Event) -> Place:
        return Place(file=self._file, line=event.start_mark.line + 1)  # type: ignore[union-attr]  # the parser sets it
