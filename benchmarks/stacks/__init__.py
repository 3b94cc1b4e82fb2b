"""The stacks measured: each a module with ``serve`` (tells its port, runs until killed) and `Client`.

Those that are measured over TLS too take ``tls``, a folder with ca.pem, cert.pem and key.pem.
"""
