"""Fine-tuning: it goes on where it was killed, and ends bit for bit as a run without kills."""

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
    """A scenario: ``amc-gym finetune`` of a plan for Plain-20 on digits."""

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
        assert finished_epochs(checkpoint) <= EPOCHS  # raises if the file is damaged
        if self.out.exists():
            assert amc_gym.load(self.out)
            if not checkpoint.exists():  # killed after all work was done
                self._same()

    def finished(self, done: Done) -> None:
        assert done.returncode == 0, done.output
        self._same()

    def _same(self) -> None:
        """Compare the files with those of the first finished run, and clear the folder."""
        found = {path.name: path.read_bytes() for path in self.out.parent.iterdir()}
        for path in self.out.parent.iterdir():
            path.unlink()
        assert set(found) == {self.out.name, f"{self.out.name}.json"}, sorted(found)
        self._whole = self._whole or found
        assert found == self._whole, "other bits than those of another run"
