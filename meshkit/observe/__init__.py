"""What the mesh tells about itself: structured events."""

from .log import EventLogger, event_logger

__all__ = ["EventLogger", "event_logger"]
