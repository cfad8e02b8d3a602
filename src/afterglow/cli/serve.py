"""`afterglow serve`: the web app of this installation."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from afterglow.cli.output import console


def serve_command(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8420,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE.pem", help="Certificate for TLS, with its chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE.pem", help="Its private key.")] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option("--behind-proxy", metavar="ADDRESS", help="A proxy that ends TLS and says who asks."),
    ] = None,
) -> None:
    """Serve the web app; alerts go on, messages leave and the audit trail is anchored meanwhile. Ctrl-C ends it.

    Plain HTTP is refused except on this machine, or behind a proxy that ends TLS.

    Example: afterglow serve --host 0.0.0.0 --certificate clinic.pem --key clinic.key
    """
    from afterglow.settings import read_settings
    from afterglow.web.serving import Listening, serve

    where = Listening(host=host, port=port, certificate=certificate, key=key, proxy=behind_proxy)
    serve(read_settings(), where, started=lambda address: console().print(f"Afterglow is at {address}"))
    console().print("Ended.")
