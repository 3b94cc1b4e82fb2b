"""meshkit: a proxyless service mesh for Python on asyncio."""

__version__ = "0.1.0"
