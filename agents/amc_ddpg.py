"""The agent of the AMC paper (He et al., ECCV 2018, section 3.2) in one file.

DDPG with three changes: exploration by a truncated normal; every transition of an episode is stored
with that episode's final reward R; and a moving average b of past rewards is subtracted:

    loss = mean (y_i - Q(s_i, a_i))^2,    y_i = R_i - b + gamma Q'(s_{i+1}, mu'(s_{i+1}))

The paper and the authors' code (github.com/mit-han-lab/amc) differ; each difference is an option:

| option              | "amc-ddpg": the paper               | "amc-ddpg-code": the authors' code |
|---------------------|-------------------------------------|------------------------------------|
| critic_action_layer | second                              | first                              |
| replay_size         | 2,000 transitions                   | 100 episodes                       |
| warmup_actions      | truncated normal, sigma 0.5         | uniform                            |
| sigma_decay         | exponential, rate not given         | 0.95 per episode                   |
| baseline            | of episode rewards, rate not given  | of batch means, rate 0.5           |
| episodes            | 100 + 300                           | 800, the first 101 of them random  |

What the paper leaves open, and what is done here:

- Learning rates: those of the code, 1e-4 (actor) and 1e-3 (critic).  Optimiser: Adam, as there.
- Updates: after an episode, one for each transition, from the end of the warm-up on, as in the
  code.  (The code stores a transition, updates, stores the next; here all are stored first.)
- Initial weights: PyTorch's own, as in the code; so the action's layer starts larger than the
  state's.
- Rate of the baseline: 0.05 per episode.  It starts at the first reward.
- End of the decay: sigma reaches `final_sigma` with the last episode of the budget.
- Budgets below 400 episodes: the warm-up takes a quarter of them.  Longer ones decay more slowly.
- Batches are drawn with replacement (in the code without).
- The code's actor returns the ratio to keep, ours the ratio to prune: the same up to symmetry.
- Stored action: the proposed one, as in the code, not the one that Algorithm 1 made of it, which
  is in the next observation in any case.  With `"executed"` the critic never learns about the
  proposals that are clamped, and nothing keeps the actor from drifting there.  In `feasible` mode
  both are the same, because every action is executed unchanged.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor, nn

from amc_gym._utils.names import choose

from .plans import amc, steps_per_episode
from .registry import register
from .threads import learner_threads


@dataclass(frozen=True)
class Options:
    """Hyper-parameters, with the paper's defaults.

    Raises:
        ValueError: a name is unknown, or a number is out of range.
    """

    hidden: int = 300  # width of both hidden layers, actor and critic
    critic_action_layer: int = 2  # hidden layer of the critic that the action enters: 1 or 2
    actor_lr: float = 1e-4
    critic_lr: float = 1e-3
    gamma: float = 1.0
    tau: float = 0.01  # target networks move by this share per update
    batch_size: int = 64
    replay_size: int = 2000  # transitions
    replay_episodes: int | None = None  # if given, the replay's size in episodes instead
    warmup_episodes: int = 100  # at most a quarter of the budget
    warmup_actions: str = "truncated-normal"  # or "uniform"
    sigma: float = 0.5  # of the truncated normal in the warm-up, in units of sparsity
    final_sigma: float = 0.02  # in the last episode, if sigma_decay is not given
    sigma_decay: float | None = None  # factor per episode after the warm-up
    baseline: str = "episodes"  # average of episodes' rewards, or of "batches"' mean rewards
    baseline_rate: float = 0.05  # b <- b + rate (reward - b)
    stored_action: str = "proposed"  # or "executed", after clamping to the budget

    def __post_init__(self) -> None:
        choose("warmup_actions", self.warmup_actions, ("truncated-normal", "uniform"))
        choose("baseline", self.baseline, ("episodes", "batches"))
        choose("stored_action", self.stored_action, ("executed", "proposed"))
        if self.critic_action_layer not in (1, 2):
            raise ValueError(f"critic_action_layer must be 1 or 2, not {self.critic_action_layer}")
        if not 0 < self.final_sigma <= self.sigma:
            raise ValueError(f"need 0 < final_sigma <= sigma, not {self.final_sigma}, {self.sigma}")

    def warmup(self, budget: int) -> int:
        """Return the episodes of warm-up in a budget of ``budget`` episodes."""
        return min(self.warmup_episodes, budget // 4)

    def sigma_at(self, episode: int, budget: int) -> float:
        """Return sigma in episode 0 <= ``episode`` < ``budget``."""
        decaying = episode - self.warmup(budget)
        if decaying < 0:
            return self.sigma
        if self.sigma_decay is not None:
            return max(self.sigma * self.sigma_decay**decaying, 1e-9)  # never quite 0
        last = max(1, budget - self.warmup(budget) - 1)
        return self.sigma * (self.final_sigma / self.sigma) ** (decaying / last)


PAPER = Options()
CODE = replace(
    PAPER,
    critic_action_layer=1,
    replay_episodes=100,
    warmup_actions="uniform",
    sigma_decay=0.95,
    baseline="batches",
    baseline_rate=0.5,
)


def truncated_normal(mean: float, sigma: float, uniform: float) -> float:
    """Return the inverse CDF, at ``uniform``, of a normal (mean, sigma) truncated to [0, 1].

    Args:
        mean: in [0, 1], so that the interval never lies in a tail.
        sigma: standard deviation before truncation.
        uniform: a draw from U[0, 1].
    """
    low, high = ndtr(-mean / sigma), ndtr((1 - mean) / sigma)
    return min(max(float(mean + sigma * ndtri(low + uniform * (high - low))), 0.0), 1.0)


class Actor(nn.Sequential):
    """The actor mu: (N, features) -> sparsity (N, 1) in (0, 1)."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
            nn.Sigmoid(),
        )


class Critic(nn.Module):
    """The critic Q: (N, features), (N, 1) -> (N, 1)."""

    def __init__(self, features: int, hidden: int, action_layer: int) -> None:
        super().__init__()
        self.action_layer = action_layer
        self.action = nn.Linear(1, hidden)
        self.first = nn.Linear(features, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, 1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the value of each pair, (B, 1)."""
        first = self.first(state)
        if self.action_layer == 1:
            first = first + self.action(action)
        second = self.second(first.relu())
        if self.action_layer == 2:
            second = second + self.action(action)
        return self.value(second.relu())


class Replay:
    """The last ``size`` transitions; rewards are the raw final rewards of their episodes."""

    def __init__(self, size: int, features: int) -> None:
        self.size = size
        self.added = 0
        # state, action, reward, whether more steps follow, next state
        self.columns = [features, 1, 1, 1, features]
        self.table = torch.zeros(size, sum(self.columns))

    def add(self, states: np.ndarray, actions: np.ndarray, reward: float) -> None:
        """Add an episode of T steps: states (T + 1, features), actions (T,), its final reward."""
        steps = len(actions)
        more = np.arange(steps) < steps - 1
        transitions = [states[:-1], actions, np.full(steps, reward), more, states[1:]]
        rows = torch.arange(self.added, self.added + steps) % self.size
        self.table[rows] = torch.from_numpy(np.column_stack(transitions).astype(np.float32))
        self.added += steps

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Draw ``n`` transitions with replacement: state, action, reward, more, next state."""
        rows = torch.from_numpy(rng.integers(min(self.added, self.size), size=n))
        return self.table[rows].split(self.columns, dim=1)


class AMCDDPG:
    """The paper's DDPG agent.

    Args:
        env: an AMC environment.
        seed: of initial weights, exploration and batches; global generators are not used.
        options: hyper-parameters.
        changes: fields of ``options`` with other values, as in ``sigma=0.3``.

    Raises:
        TypeError: ``options`` has no such field.
        ValueError: a value is out of range.
    """

    def __init__(
        self, env: gym.Env[Any, Any], seed: int, options: Options = PAPER, **changes: Any
    ) -> None:
        options = replace(options, **changes)
        self.env, self.options = env, options
        self.rng = np.random.default_rng(seed)
        self.steps = steps_per_episode(env)
        assert env.observation_space.shape is not None
        (features,) = env.observation_space.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(features, options.hidden)
            self.critic = Critic(features, options.hidden, options.critic_action_layer)
        self.networks = nn.ModuleList([self.actor, self.critic])
        self.targets = copy.deepcopy(self.networks).requires_grad_(False)
        self._followed = list(
            zip(self.targets.parameters(), self.networks.parameters(), strict=True)
        )
        # Fused, because the plain loop over parameters takes longer than a forward pass.
        self.actor_optimizer, self.critic_optimizer = (
            torch.optim.Adam(network.parameters(), lr=lr, fused=True)
            for network, lr in ((self.actor, options.actor_lr), (self.critic, options.critic_lr))
        )
        episodes = options.replay_episodes
        size = options.replay_size if episodes is None else episodes * self.steps
        self.replay = Replay(size, features)
        self.baseline: float | None = None
        self._sigma: float | None = None
        self._losses: dict[str, Tensor] = {}
        clamped = amc(env).action_mode == "clamp"
        self._store_executed = options.stored_action == "executed" and clamped

    def learn(self, episodes: int) -> None:
        """Finish ``episodes`` episodes; exploration is scheduled over all of them."""
        with learner_threads():
            for episode in range(episodes):
                self._learn_from(episode, episodes)

    def diagnostics(self) -> dict[str, float]:
        """Return figures for curves: sigma, the baseline, and the last update's losses."""
        known = {"sigma": self._sigma, "baseline": self.baseline}
        losses = {name: loss.item() for name, loss in self._losses.items()}
        return {name: value for name, value in known.items() if value is not None} | losses

    def _learn_from(self, episode: int, budget: int) -> None:
        """Play one episode, and make the updates after it."""
        warming_up = episode < self.options.warmup(budget)
        uniform = warming_up and self.options.warmup_actions == "uniform"
        self._sigma = None if uniform else self.options.sigma_at(episode, budget)
        reward = self._episode(self._sigma)
        if self.options.baseline == "episodes":
            self._average(reward)
        if not warming_up:
            for _ in range(self.steps):
                self._update()

    def _episode(self, sigma: float | None) -> float:
        """Play and store one episode, and return its reward; without sigma actions are uniform."""
        state, _ = self.env.reset()
        states, actions, reward, over = [state], [], 0.0, False
        while not over:
            action = float(self.rng.random())
            if sigma is not None:
                with torch.inference_mode():
                    mean = self.actor(torch.from_numpy(state)).item()
                action = truncated_normal(mean, sigma, action)
            proposed = np.array([action], dtype=np.float32)
            state, given, over, _, info = self.env.step(proposed)
            states.append(state)
            actions.append(info["sparsity"] if self._store_executed else action)
            reward = float(given)
        self.replay.add(np.stack(states), np.array(actions, dtype=np.float32), reward)
        return reward

    def _average(self, reward: float) -> None:
        """Update the baseline with ``reward``."""
        if self.baseline is None:
            self.baseline = reward
        self.baseline += self.options.baseline_rate * (reward - self.baseline)

    def _update(self) -> None:
        """Update critic, actor and target networks on one batch."""
        batch = self.replay.sample(self.options.batch_size, self.rng)
        state, action, reward, more, next_state = batch
        if self.options.baseline == "batches":
            self._average(reward.mean().item())
        assert self.baseline is not None  # an episode has been played
        target_actor, target_critic = self.targets
        with torch.no_grad():
            future = target_critic(next_state, target_actor(next_state))
            value = reward - self.baseline + self.options.gamma * more * future

        error = nn.functional.mse_loss(self.critic(state, action), value)
        _descend(self.critic_optimizer, error)
        regret = -self.critic(state, self.actor(state)).mean()
        _descend(self.actor_optimizer, regret)
        self._losses = {"critic loss": error.detach(), "actor loss": regret.detach()}
        with torch.no_grad():
            for target, weights in self._followed:
                target.lerp_(weights, self.options.tau)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Make one step on the optimizer's own weights; no other gradient is computed."""
    weights = optimizer.param_groups[0]["params"]
    for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
        weight.grad = gradient
    optimizer.step()


register("amc-ddpg", kind="learner")(partial(AMCDDPG, options=PAPER))
register("amc-ddpg-code", kind="learner")(partial(AMCDDPG, options=CODE))
