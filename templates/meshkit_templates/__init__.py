"""Jinja templates of generated code and of new projects, and the proto files that demo and docs use."""

from .library import environment, path

__all__ = ["environment", "path"]
