"""Fine-tuning: goes on where it was killed, to the bits of a run that nobody killed."""

from __future__ import annotations

import sys
from pathlib import Path

import amc_gym
from amc_gym.envs.factory import make_env
from amc_gym.training.checkpoints import finished_epochs
from amc_gym.zoo.resolving import resolve
from tests.kills.harness import Done

EPOCHS = 2


class FineTuning:
    """``amc-gym finetune`` of a plan for Plain-20 on the digits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out" / "tuned.safetensors"
        self.out.parent.mkdir(parents=True)
        self.plan = folder / "plan.json"
        env = make_env(resolve("Plain20"), reward_images=20, recovery="none")
        amc_gym.search(env, 1, progress=False).save(self.plan)
        self._whole: dict[str, bytes] = {}

    def command(self) -> list[str]:
        recipe = ["--epochs", str(EPOCHS), "--batch-size", "64", "--distillation", "0"]
        run = [sys.executable, "-W", "ignore", "-m", "amc_gym", "finetune", str(self.plan)]
        return [*run, "--out", str(self.out), *recipe]

    def killed(self) -> None:
        checkpoint = self.out.with_name(f"{self.out.name}.checkpoint.pt")
        assert finished_epochs(checkpoint) <= EPOCHS  # it is whole
        if self.out.exists():
            assert amc_gym.load(self.out)
            if not checkpoint.exists():  # all was done but the process's own end
                self._same()

    def finished(self, done: Done) -> None:
        assert done.returncode == 0, done.output
        self._same()

    def _same(self) -> None:
        """Compare with the first whole run, and clear the folder."""
        found = {path.name: path.read_bytes() for path in self.out.parent.iterdir()}
        for path in self.out.parent.iterdir():
            path.unlink()
        assert set(found) == {self.out.name, f"{self.out.name}.json"}, sorted(found)
        self._whole = self._whole or found
        assert found == self._whole, "other bits than those of another run"
