"""The public names of the library: all there, documented, with examples that run, and cheap to import."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import afterglow

PUBLIC = [name for name in afterglow.__all__ if name != "__version__"]
FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(inspect.unwrap(getattr(afterglow, name)))]
CLASSES = [name for name in PUBLIC if inspect.isclass(getattr(afterglow, name))]


def declared_for_type_checkers() -> dict[str, str]:
    """Name -> module in the `if TYPE_CHECKING` block."""
    tree = ast.parse(Path(str(afterglow.__file__)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(line.module) for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names
    }


def test_type_checkers_see_the_same_names() -> None:
    assert declared_for_type_checkers() == afterglow._PUBLIC


def test_every_public_name_is_a_function_or_a_class() -> None:
    assert sorted(FUNCTIONS + CLASSES) == sorted(PUBLIC)
    assert sorted(afterglow.__all__) == dir(afterglow)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_to_what_its_module_exports(name: str) -> None:
    module = sys.modules[afterglow._PUBLIC[name]]
    assert getattr(afterglow, name) is getattr(module, name)
    assert name in getattr(module, "__all__", [name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_has_an_example_that_runs(name: str) -> None:
    function: Callable[..., Any] = getattr(afterglow, name)
    function = inspect.unwrap(function)
    globs = vars(sys.modules[function.__module__])
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, globs=dict(globs))
    assert test.examples, "no example"
    assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_is_documented_with_its_methods(name: str) -> None:
    documented: type = getattr(afterglow, name)
    assert documented.__doc__
    assert not documented.__doc__.startswith(f"{name}("), "a dataclass without a docstring of its own"
    for attribute, value in vars(documented).items():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert value.__doc__, attribute


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_carry_types(name: str) -> None:
    signature = inspect.signature(getattr(afterglow, name))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_no_public_name_is_a_module() -> None:
    """A module of the package becomes its attribute when it is imported, and would hide the name."""
    modules = {module.name for module in pkgutil.iter_modules(afterglow.__path__)}
    assert not modules & set(PUBLIC)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'afterglow' has no attribute 'nonsense'"):
        _ = afterglow.nonsense


def test_importing_costs_nothing() -> None:
    """`import afterglow` alone loads no numerical library; each name loads what it needs when it is first used."""
    code = (
        "import sys, afterglow\n"
        "heavy = ('numpy', 'scipy', 'numba', 'yaml', 'typer', 'rich', 'statsmodels')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "afterglow.parse_dose\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_the_version_is_the_packages() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{afterglow.__version__}"' in pyproject
