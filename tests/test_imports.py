"""Every process imports the package first: what takes long is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import amc_gym
print(*sorted({"torchvision", "scipy", "sklearn", "onnx", "sympy"} & sys.modules.keys()))
"""


def test_the_package_imports_nothing_that_only_some_commands_need() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
