"""Environment specifications in plain numbers and strings, which JSON can hold."""

from __future__ import annotations

from gymnasium.envs.registration import EnvSpec

from amc_gym._utils.arguments import plain


class PlainSpec:
    """Base class of environments whose ``spec`` holds plain values."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The id and the keywords that the environment was made with."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec.kwargs = plain(spec.kwargs)
        self._spec = spec
