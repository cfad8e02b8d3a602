"""Settings of every test: generative tests are reproducible here; `HYPOTHESIS_PROFILE=deep` searches further."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.register_profile("deep", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI is set, a test that was left out is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("Tests were left out, which CI does not allow.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
