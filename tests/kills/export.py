"""Exports: a network and its description are both the old ones or both the new ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import amc_gym
from amc_gym.compression.handover.pair import description_of
from amc_gym.envs.factory import make_env
from amc_gym.zoo.resolving import resolve
from tests.kills.harness import Done

TIMES = 20
"""Number of exports in a run, all to the same file."""

# Every third time the file is removed before, so that first exports are killed, too.
SCRIPT = """
import sys
from pathlib import Path
import amc_gym
from amc_gym.zoo.resolving import resolve

task, out = resolve("Plain20"), Path(sys.argv[1])
plans = [amc_gym.CompressionPlan.load(name) for name in sys.argv[3:]]
networks = [amc_gym.compress(task, plan, "none") for plan in plans]
for number in range(int(sys.argv[2])):
    if number % 3 == 2:
        out.unlink(missing_ok=True)
    amc_gym.export(networks[number % 2], task, out, overwrite=True)
"""


class Export:
    """A scenario: ``amc_gym.export`` of two networks in turn to the same file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out" / "small.safetensors"
        self.out.parent.mkdir(parents=True)
        self.plans, self._states = [], []
        task = resolve("Plain20")
        for number, ratio in enumerate((0.3, 0.6)):
            env = make_env(task, preserve_ratio=ratio, reward_images=20, recovery="none")
            plan = amc_gym.search(env, 1, progress=False)
            self.plans.append(str(plan.save(folder / f"{number}.json")))
            network = amc_gym.compress(task, plan, "none")
            self._states.append({k: v.sum().item() for k, v in network.state_dict().items()})
        assert self._states[0] != self._states[1]

    def command(self) -> list[str]:
        run = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(self.out), str(TIMES)]
        return [*run, *self.plans]

    def killed(self) -> None:
        if self.out.exists():
            self._whole()

    def finished(self, done: Done) -> None:
        assert done.returncode == 0, done.output
        self._whole()
        left = sorted(path.name for path in self.out.parent.iterdir())
        assert left == [self.out.name, f"{self.out.name}.json"], left
        description = json.loads(description_of(self.out).read_text())
        assert "replaced" not in description

    def _whole(self) -> None:
        state = amc_gym.load(self.out).state_dict()
        assert {k: v.sum().item() for k, v in state.items()} in self._states
