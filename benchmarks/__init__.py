"""What meshkit costs, measured beside its peers in one run.

``python -m benchmarks [NAME...] [--quick] [--json FILE]``
"""
