"""The error of exports."""


class ExportError(ValueError):
    """Raised for networks that cannot be exported, and for files that do not hold one."""
