"""Who this process is to its peers, and what the mesh demands of its callers. Read and shown; not enforced yet."""

from .identity import spiffe_id
from .inbound import Inbound, MutualTls, Policy, read_inbound, unenforced

__all__ = ["Inbound", "MutualTls", "Policy", "read_inbound", "spiffe_id", "unenforced"]
