"""Write the documents that are made from code and data; `--check` fails if one has fallen behind.

python scripts/generate_docs.py [--check]
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from afterglow.cli.app import app
from afterglow.clinic import clinic_markdown, registers_markdown
from afterglow.evidence import evidence_markdown
from afterglow.protocol import protocol_markdown
from afterglow.scales import scales_markdown
from afterglow.settings import settings_markdown
from afterglow.therapy.acute_validation import acute_validation_markdown
from afterglow.therapy.exposure_validation import exposure_validation_markdown
from afterglow.therapy.population import population_markdown
from afterglow.usecases.claims_model import claim_predictions, claim_sentence
from afterglow.usecases.permissions import permissions_markdown
from afterglow.web.api_document import api_markdown

DOCS = Path(__file__).parent.parent / "docs"
SHIPPED = DOCS.parent / "src" / "afterglow" / "usecases" / "data" / "validation"
WIDTH = 100  # columns of the help texts


def documents() -> dict[str, str]:
    """Every generated document by its path under docs/."""
    return {
        "reference/commands.md": _commands(),
        "reference/files.md": protocol_markdown(),
        "reference/scales.md": scales_markdown(),
        "reference/settings.md": settings_markdown(),
        "reference/permissions.md": permissions_markdown(),
        "reference/api.md": api_markdown(),
        "reference/population.md": population_markdown(),
        "validation/exposure.md": exposure_validation_markdown(),
        "validation/acute.md": acute_validation_markdown(),
        **{f"reference/{name}": text for name, text in evidence_markdown(beside_claims()).items()},
        **{f"reference/{name}": text for name, text in clinic_markdown().items()},
        "reference/care-registers.md": registers_markdown(),
        **{
            f"tutorial/{path.name}": _run(path.read_text(encoding="utf-8")) for path in (DOCS / "tutorial").glob("*.md")
        },
    }


def shipped() -> dict[Path, str]:
    """The pages of docs/validation with their pictures, as the package carries them: the web app shows them."""
    pages = sorted((DOCS / "validation").glob("*.md"))
    text = "".join(each.read_text(encoding="utf-8") for each in pages)
    pictures = [DOCS / "images" / name for name in sorted(set(re.findall(r"\.\./images/(\w+\.svg)", text)))]
    return {SHIPPED / each.name: each.read_text(encoding="utf-8") for each in (*pages, *pictures)}


def beside_claims() -> dict[str, str]:
    """What the model says beside each claim."""
    return {claim: claim_sentence(found) for claim, found in claim_predictions().items()}


def _run(page: str) -> str:
    """The page with the output of its commands and programs as they are now.

    A `console` block holds one command and its output; a `python` block is followed by a `text` block with its output.
    """
    with contextlib.chdir(DOCS.parent):
        page = re.sub(r"```console\n\$ (.*)\n[^`]*```", lambda match: _console(match[1]), page)
        return re.sub(r"```python\n([^`]*)```\n\n```text\n[^`]*```", lambda match: _program(match[1]), page)


def _console(command: str) -> str:
    program, *words = shlex.split(command)
    if program == "cat":
        output = "".join(Path(word).read_text(encoding="utf-8") for word in words)
    else:
        output = CliRunner().invoke(app, words, prog_name=program).output
    lines = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
    return f"```console\n$ {command}\n{lines}\n```"


def _program(code: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "tutorial", "exec"), {})  # noqa: S102  our own page, run so that it cannot go stale
    return f"```python\n{code}```\n\n```text\n{said.getvalue()}```"


def _commands() -> str:
    lines = ["# Commands", "", "What `--help` says of every command.", ""]
    for words in _command_words(typer.main.get_command(app), ()):
        help_text = (
            CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(WIDTH)}, prog_name="afterglow").output
        )
        lines += [f"## afterglow {' '.join(words)}".rstrip(), "", "```text", help_text.strip("\n"), "```", ""]
    return "\n".join(lines)


def _command_words(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, child in getattr(command, "commands", {}).items():
        yield from _command_words(child, (*words, name))


def main() -> int:
    """Write or check; the exit status."""
    check = sys.argv[1:] == ["--check"]
    behind = _write({DOCS / name: text.rstrip("\n") + "\n" for name, text in documents().items()}, check=check)
    behind += _write(shipped(), check=check)
    verb = "is behind its source" if check else "written"
    for path in behind:
        sys.stdout.write(f"{path.relative_to(DOCS.parent)} {verb}\n")
    if check and behind:
        sys.stdout.write("Run 'make docs' and commit the result.\n")
    return 1 if check and behind else 0


def _write(files: dict[Path, str], *, check: bool) -> list[Path]:
    """Those that are not as they should be; written unless it is only a check."""
    behind = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in () if check else behind:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return behind


if __name__ == "__main__":
    sys.exit(main())
