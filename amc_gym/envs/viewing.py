"""``render_mode="human"``: frames in a notebook's cell, or else in a window."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from PIL import Image


class Viewer(Protocol):
    """Something that shows pictures, one in place of the other."""

    def show(self, picture: np.ndarray) -> None:
        """Show a picture, (height, width, 3) uint8."""
        ...

    def close(self) -> None:
        """Take it away, if it is a window."""
        ...


class Notebook:
    """The cell of a notebook that runs; every cell shows its own pictures."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._cell: int | None = None

    def show(self, picture: np.ndarray) -> None:
        """Show a picture in place of the cell's last one."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        cell = getattr(get_ipython(), "execution_count", None)
        image = Image.fromarray(picture)
        if self._shown is None or cell != self._cell:
            self._shown, self._cell = display(image, display_id=True), cell
        else:
            self._shown.update(image)

    def close(self) -> None:
        """Leave the last picture where it is."""


class Window:
    """A window of Tk, which most Pythons bring.

    Args:
        title: of the window.

    Raises:
        ImportError: this Python has no Tk.
        ValueError: there is no screen.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError as error:
            raise ImportError(
                "render_mode='human' shows a window of Tk, which this Python lacks (Debian's "
                "package is python3-tk): install it, use a notebook, or choose 'rgb_array'"
            ) from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ValueError(
                f"render_mode='human' needs a screen or a notebook ({error}): choose 'rgb_array'"
            ) from error
        self._root.title(title)
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self._image: Any = None

    def show(self, picture: np.ndarray) -> None:
        """Show a picture in place of the last one; a window that the user closed stays closed."""
        import tkinter

        from PIL import ImageTk

        try:
            self._image = ImageTk.PhotoImage(Image.fromarray(picture), master=self._root)
            self._label.configure(image=self._image)
            self._root.update()
        except tkinter.TclError:
            self._image = None

    def close(self) -> None:
        """Close the window."""
        import tkinter

        self._image = None
        with suppress(tkinter.TclError):  # the user did
            self._root.destroy()


class Paced:
    """Show pictures at a viewer, none shorter than people need to see it.

    Args:
        viewer: where.
        fps: pictures per second at most.
    """

    def __init__(self, viewer: Viewer, fps: float) -> None:
        self.viewer, self._pause, self._last = viewer, 1 / fps, 0.0

    def show(self, picture: np.ndarray) -> None:
        """Wait until the last picture was seen, and show the next one."""
        time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
        self.viewer.show(picture)
        self._last = time.monotonic()


def viewer_of(title: str) -> Viewer:
    """Return a notebook's cell where one runs, else a window.

    Raises:
        ImportError, ValueError: as ``Window``.
    """
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    if running is not None and getattr(running, "kernel", None) is not None:
        return Notebook()
    return Window(title)
