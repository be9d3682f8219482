"""The error of a hand-over."""


class ExportError(ValueError):
    """A network that cannot be handed over, or a file that does not hold one."""
