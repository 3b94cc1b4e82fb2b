"""Files that somebody watches."""

from __future__ import annotations

from pathlib import Path


def save(path: Path, text: str) -> None:
    """Write a file in one step, as editors do: half a file may be a valid one."""
    draft = path.with_suffix(".tmp")
    draft.write_text(text)
    draft.rename(path)
