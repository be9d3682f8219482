"""AMC-Gym: "AMC: AutoML for Model Compression" (He et al., ECCV 2018) as a Gymnasium environment.

Importing the package registers the environments.  Names that need PyTorch are imported when the
first of them is used (PEP 562), so that a help text or a list of ids takes a fraction of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amc_gym._utils import interrupts  # noqa: F401  # first: what follows takes time to import
from amc_gym.registration import register

__version__ = "0.1.0"

if TYPE_CHECKING:
    from amc_gym.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Import all public names, and the subpackages that define them, when one is asked for."""
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        api = import_module("amc_gym.api")
        globals().update({each: getattr(api, each) for each in ("__all__", *api.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        """Return the public names, for consoles and documentation."""
        return sorted({*globals(), *import_module("amc_gym.api").__all__})


register()
