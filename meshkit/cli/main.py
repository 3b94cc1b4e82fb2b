"""The door: words in, one command run, errors in one line."""

from __future__ import annotations

import sys

from meshkit.cli.commands import COMMANDS, GROUPS
from meshkit.errors import MeshkitError, MissingExtra
from meshkit.version import __version__

__all__ = ["main"]


def main() -> None:
    """Run the command that the process's arguments name; a failure is one line on stderr and exit status 1."""
    try:
        _app()
    except MeshkitError as error:
        sys.exit(f"meshkit: {error}")
    except OSError as error:  # a full disk, a taken port, a file that cannot be read
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"meshkit: {where}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _app() -> None:
    try:
        from cyclopts import App
    except ImportError:
        raise MissingExtra("the meshkit command", "cli") from None
    app = App(name="meshkit", help="A proxyless service mesh for Python on asyncio.", version=__version__)
    groups = {word: App(name=word, help=purpose) for word, purpose in GROUPS.items()}
    for sub in groups.values():
        app.command(sub)
    for words, command in COMMANDS.items():
        group, _, word = words.rpartition(" ")
        (groups[group] if group else app).command(command.place, name=word, help=command.purpose)
    app()
