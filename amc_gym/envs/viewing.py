"""``render_mode="human"``: frames in a notebook's cell, a window or the terminal."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, Protocol

from PIL import Image

from amc_gym.envs.picture import rgb_array
from amc_gym.envs.rendering import Frame, ansi


class Viewer(Protocol):
    """Something that shows frames."""

    def show(self, frame: Frame) -> None:
        """Show a frame."""
        ...

    def close(self) -> None:
        """Close the viewer, if it is a window."""
        ...


class Notebook:
    """The running cell of a notebook; every cell shows its own pictures."""

    def __init__(self) -> None:
        self._shown: Any = None
        self._cell: int | None = None

    def show(self, frame: Frame) -> None:
        """Replace the cell's picture."""
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        cell = getattr(get_ipython(), "execution_count", None)
        image = Image.fromarray(rgb_array(frame))
        if self._shown is None or cell != self._cell:
            self._shown, self._cell = display(image, display_id=True), cell
        else:
            self._shown.update(image)

    def close(self) -> None:
        """Leave the last picture in place."""


class Window:
    """A Tk window; most Python installations include Tk.

    Args:
        title: of the window.

    Raises:
        ImportError: this Python has no Tk.
        OSError: there is no screen.
    """

    def __init__(self, title: str) -> None:
        import tkinter

        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise OSError(f"no screen: {error}") from error
        self._root.title(title)
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self._image: Any = None

    def show(self, frame: Frame) -> None:
        """Replace the picture; a window that the user has closed stays closed."""
        import tkinter

        from PIL import ImageTk

        try:
            self._image = ImageTk.PhotoImage(Image.fromarray(rgb_array(frame)), master=self._root)
            self._label.configure(image=self._image)
            self._root.update()
        except tkinter.TclError:
            self._image = None

    def close(self) -> None:
        """Close the window."""
        import tkinter

        self._image = None
        with suppress(tkinter.TclError):  # the user has closed it
            self._root.destroy()


class Terminal:
    """Standard output: a line for each step, and the table at the end."""

    def show(self, frame: Frame) -> None:
        """Print a frame."""
        print(frame.headline if frame.score is None else ansi(frame), flush=True)

    def close(self) -> None:
        """Leave the printed lines in place."""


class Paced:
    """A viewer with a limited frame rate, so that people can follow.

    Args:
        viewer: shows the frames.
        fps: frames per second at most.
    """

    def __init__(self, viewer: Viewer, fps: float) -> None:
        self.viewer, self._pause, self._last = viewer, 1 / fps, 0.0

    def show(self, frame: Frame) -> None:
        """Wait until the last frame was shown long enough, and show the next one."""
        time.sleep(max(0.0, self._last + self._pause - time.monotonic()))
        self.viewer.show(frame)
        self._last = time.monotonic()


def viewer_of(title: str) -> Viewer:
    """Return the running notebook's cell, otherwise a window, or the terminal without a screen."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    if running is not None and getattr(running, "kernel", None) is not None:
        return Notebook()
    try:
        return Window(title)
    except (ImportError, OSError):
        return Terminal()
