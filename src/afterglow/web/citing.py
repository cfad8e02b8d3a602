"""Where the keys of trials and sources lead: every number to what it was read at."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from afterglow.evidence import sources, trials
from afterglow.render.report import Link, Links

_PHRASES = {
    "validation of acute effects": Link(to="/evidence/model/acute", title="Acute effects: predicted and published"),
}


@cache
def citations() -> Links:
    """Every key that stands beside a number: a trial to its page, any other source to its row."""
    rows = {key: Link(to=f"/evidence/sources#{quote(key)}", title=found.citation) for key, found in sources().items()}
    return {**rows, **trial_links(), **_PHRASES}


@cache
def trial_links() -> Links:
    """The trials alone."""
    return {each.key: Link(to=f"/evidence/trials/{quote(each.key)}", title=str(each.citation)) for each in trials()}
