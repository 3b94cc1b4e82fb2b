"""The embedded control plane: Istio YAML and live registrations in, xDS out. Needs ``meshkit[control]``."""

from meshkit.errors import MissingExtra

try:
    from .plane import ControlPlane, run
    from .problems import Problem, Severity
except ModuleNotFoundError as error:  # one of ours that is missing is a bug and stays one
    if (error.name or "meshkit").partition(".")[0] in ("aiohttp", "envoy_data_plane", "watchfiles", "yaml"):
        raise MissingExtra("the embedded control plane", "control") from None
    raise

__all__ = ["ControlPlane", "Problem", "Severity", "run"]
