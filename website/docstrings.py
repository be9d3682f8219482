"""Docstrings that are completed when their module is imported, for mkdocstrings.

mkdocstrings reads source code, in which the tables of options are still names in braces.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import griffe

UNFINISHED = "{arguments}"
"""Placeholder for the table of options in docstrings."""


class Finished(griffe.Extension):
    """An extension that replaces such a docstring by that of the imported class."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Replace the docstring of a class that was read, if necessary."""
        if cls.docstring is not None and UNFINISHED in cls.docstring.value:
            made = getattr(import_module(cls.module.path), cls.name)
            cls.docstring = griffe.Docstring(inspect.getdoc(made) or "", parent=cls)
