"""Rules that pyproject.toml cannot hold: a wheel holds agents/ as amc_gym.agents.

In a checkout the agents lie beside the package, which knows nothing of them.  A wheel must not
bring a top-level package called "agents", so they go into its own name there.  Editable installs
leave them where they are: one folder under two names would be two tables of agents.
"""

from __future__ import annotations

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithAgents(build_py):
    """Copies agents/ into the package."""

    def finalize_options(self) -> None:
        """Add the agents' packages."""
        super().finalize_options()
        if not self.editable_mode:
            self.package_dir = {**(self.package_dir or {}), "amc_gym.agents": "agents"}
            found = find_packages(include=["agents", "agents.*"])
            self.packages = [*(self.packages or ()), *(f"amc_gym.{name}" for name in found)]


setup(cmdclass={"build_py": BuildWithAgents})
