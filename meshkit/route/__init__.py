"""Routing: which virtual host, which route, which cluster. Pure; compiled when config changes, read by every call.

To add a matcher: a text comparison goes into `text`, a condition on headers into `headers`, one on paths into `paths`.
"""

from .decision import Decision
from .headers import CallHeaders
from .hosts import find_virtual_host
from .table import RouteTable

__all__ = ["CallHeaders", "Decision", "RouteTable", "find_virtual_host"]
