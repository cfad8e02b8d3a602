"""Files that pages bring along: scripts and styles of our own, the font, the colours."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request, Response

from afterglow.render.report import block_rules
from afterglow.render.tokens import css_variables
from afterglow.web.pages import PageRoute, error_page

router = APIRouter(route_class=PageRoute, prefix="/static")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOLDER = files("afterglow.web").joinpath("static")
_FILES = frozenset(each.name for each in _FOLDER.iterdir())
_FONT = "inter-latin-wght-normal.woff2"
_KEPT = {"Cache-Control": "public, max-age=3600"}


@router.get("/{name}")
def give(request: Request, name: str) -> Response:
    """One file by its name."""
    if name == _FONT:
        return Response(files("afterglow.render").joinpath("data", name).read_bytes(), 200, _KEPT, "font/woff2")
    if name == "tokens.css":
        return Response(_tokens_css(), 200, _KEPT, "text/css")
    if name == "report.css":
        return Response(block_rules(), 200, _KEPT, "text/css")
    if name not in _FILES:
        return error_page(request, 404, "There is no such file", "Check the address.")
    return Response(_FOLDER.joinpath(name).read_bytes(), 200, _KEPT, _TYPES[name[name.rindex(".") :]])


def _tokens_css() -> str:
    """The colours of `render.tokens`: light, dark where the system or the person says so, and light on paper."""
    light, dark = css_variables("light"), f"color-scheme: dark; {css_variables('dark')}"
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme]) {{ {dark} }} }}\n"
        f"@media screen {{ :root[data-theme=dark] {{ {dark} }} }}\n"
    )
