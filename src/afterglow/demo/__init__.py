"""The demo clinic: made-up people in every stage of care, made through use cases alone; nothing of it was ever real."""

from afterglow.demo.building import Built, build_demo, demo_clock, demo_settings
from afterglow.demo.sheet import Sheet, code_of, read_sheet

__all__ = ["Built", "Sheet", "build_demo", "code_of", "demo_clock", "demo_settings", "read_sheet"]
