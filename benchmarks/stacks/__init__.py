"""The stacks measured: each a module with ``serve()`` (prints its port, runs until killed) and ``client(port)``."""
