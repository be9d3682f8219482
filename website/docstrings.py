"""Docstrings that are finished when their module is imported, for mkdocstrings.

mkdocstrings reads source, where the tables of options in a class's page are still names in braces.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe

UNFINISHED = "{arguments}"
"""Stands in docstrings for the table of options."""


class Finished(griffe.Extension):
    """Replaces such a docstring in source by that of the imported class."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at a class that was read."""
        if cls.docstring is not None and UNFINISHED in cls.docstring.value:
            made = getattr(import_module(cls.module.path), cls.name)
            cls.docstring = griffe.Docstring(inspect.getdoc(made) or "", parent=cls)
