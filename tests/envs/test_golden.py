"""Values of v0 that must not change unless its version does.

``python tests/envs/test_golden.py`` writes them anew: only together with a new version of the id.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from amc_gym.envs.factory import make_env

GOLDEN = Path(__file__).with_name("golden.json")
OPTIONS = [
    {},
    {"importance": "greedy"},
    {"recovery": "none", "preserve_ratio": 0.5},
    {"resource": "params", "action_mode": "feasible", "preserve_ratio": 0.3},
    {"preserve_ratio": None, "reward": "error-log-macs", "channel_multiple": 8},
]


def record(options: dict) -> dict:
    """Two episodes of fixed actions under ``options``."""
    env = make_env("MobileNet", **options)
    episodes = []
    for seed in (0, 1):
        # Ratios of small integers: the same on every machine and in every version of NumPy.
        actions = [((7 * t + 5 * seed + 3) % 11) / 12 for t in range(14)]
        env.reset()
        rows = [env.step(np.array([action])) for action in actions]
        info = rows[-1][-1]
        episodes.append(
            {
                "channels": [row[-1]["channels"] for row in rows],
                "last_observation": [round(float(x), 6) for x in rows[-2][0]],
                "macs": info["macs"],
                "params": info["params"],
                "correct": round(info["accuracy"] * 400),
                "reward": round(rows[-1][1], 4),
            }
        )
    return {"options": options, "episodes": episodes}


@pytest.mark.parametrize("index", range(len(OPTIONS)))
def test_episodes_are_those_of_version_0(index):
    expected = json.loads(GOLDEN.read_text())[index]
    actual = record(OPTIONS[index])
    assert actual["options"] == expected["options"]
    for now, then in zip(actual["episodes"], expected["episodes"], strict=True):
        # The sums of a forward pass round differently on other processors: two images of 400.
        assert now.pop("correct") == pytest.approx(then.pop("correct"), abs=2)
        scale = 20 if then["reward"] < 0 else 1  # the logarithm of the MACs multiplies the error
        assert now.pop("reward") == pytest.approx(then.pop("reward"), abs=scale * 2 / 400)
        assert now.pop("last_observation") == pytest.approx(then.pop("last_observation"), abs=1e-5)
        assert now == then


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps([record(options) for options in OPTIONS], indent=1) + "\n")
