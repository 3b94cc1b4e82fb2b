"""The embedded control plane: Istio YAML and live registrations in, xDS out. Needs ``meshkit[control]``."""

import warnings

from meshkit.errors import MissingExtra

try:
    with warnings.catch_warnings():
        # envoy_data_plane 2.2 defines its classes in a way that pydantic 2.12 deprecates; nothing users can act on
        warnings.simplefilter("ignore", DeprecationWarning)
        from .plane import ControlPlane, run
        from .problems import Problem, Severity
except ModuleNotFoundError as error:  # one of ours that is missing is a bug and stays one
    if (error.name or "meshkit").partition(".")[0] in ("aiohttp", "envoy_data_plane", "pydantic", "watchfiles", "yaml"):
        raise MissingExtra("the embedded control plane", "control") from None
    raise

__all__ = ["ControlPlane", "Problem", "Severity", "run"]
