"""The version, said once: the package's metadata, generated code and the user-agent take it from here."""

__version__ = "0.1.0"
