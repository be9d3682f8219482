"""Loaders of policy files by name, and the detection of a file's loader.

| loader     | file                                                          | agent       |
|------------|---------------------------------------------------------------|-------------|
| amc-policy | safetensors, an ensemble                                      | amc-policy  |
| sb3        | safetensors, trained by Stable-Baselines3 on a suite          | sb3-policy  |
| onnx       | ONNX, a graph from comparable observations to actions         | onnx-policy |
"""

from __future__ import annotations

from pathlib import Path

from amc_gym._utils import documents
from amc_gym._utils.documents import DocumentError

from .step_policy import about

LOADERS = {"amc-policy": "amc-policy", "sb3": "sb3-policy", "onnx": "onnx-policy"}
"""Loader -> name of the agent that plays what it loads."""


def declared(path: Path) -> str | None:
    """Return the loader that a file names itself; ``None`` if it names none.

    Raises:
        OSError: it is missing, or neither safetensors nor named ``.onnx``.
    """
    if path.suffix == ".onnx":
        path.stat()
        return "onnx"
    try:
        said = documents.parse(about(path) or "null")
    except DocumentError:
        return None
    found = said.get("loader") if isinstance(said, dict) else None
    return found if found in LOADERS else None


def is_for(path: Path, agent: str) -> bool:
    """Return whether an agent plays a file's policy.

    A file that names no loader is an ensemble, or belongs to a user's own agent.

    Raises:
        OSError: as ``declared``.
    """
    loader = declared(path)
    if loader is None:
        return agent == LOADERS["amc-policy"] or agent not in LOADERS.values()
    return LOADERS[loader] == agent
