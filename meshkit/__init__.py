"""meshkit: a proxyless service mesh for Python on asyncio."""
