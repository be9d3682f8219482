"""Other libraries on the environment: each runs a few episodes in its own virtual environment.

    python tests/integrations/run.py [rl_zoo3] [torchrl] [tianshou] [rllib]

The command of each page in docs/integrations is run as printed, but shorter.  Each library gets a
virtual environment under .venvs/ that uses the packages of this Python where they fit, and
installs the others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPISODES, WARM_UP, LENGTH = 6, 3, 14


@dataclass(frozen=True)
class Integration:
    """A library, and how its page's command is checked.

    Attributes:
        requirement: Requirement that pip installs.
        shorter: Arguments that are added to the page's command to shorten it.
        expected: Regular expression that the command's output must match.
    """

    requirement: str
    shorter: tuple[str, ...]
    expected: str


SCRIPT = (
    ("--episodes", str(EPISODES), "--warm-up", str(WARM_UP)),
    rf"{EPISODES} episodes of {LENGTH} steps, best reward 0\.\d+",
)
INTEGRATIONS = {
    "rl_zoo3": Integration(
        "rl_zoo3>=2.4",
        (
            *("--n-timesteps", str(EPISODES * LENGTH), "--log-folder", "{logs}"),
            *("--hyperparams", f"learning_starts:{WARM_UP * LENGTH}", "--log-interval", "1"),
        ),
        # The last table: it counts all episodes, and updates, which show that warm-up is over.
        rf"episodes +\| {EPISODES} +\|(?:(?!---)[\s\S])*n_updates +\| [1-9]",
    ),
    "torchrl": Integration("torchrl>=0.10", *SCRIPT),
    "tianshou": Integration("tianshou>=2.0", *SCRIPT),
    "rllib": Integration("ray[rllib]>=2.40", *SCRIPT),
}


def environment(name: str, requirement: str) -> Path:
    """Return the Python of the library's virtual environment; make it if it is missing."""
    folder = ROOT / ".venvs" / name
    ready = folder / ".installed"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not ready.exists() or ready.read_text() != requirement:
        venv.create(folder, clear=True, symlinks=os.name != "nt")
        command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        # Packages of the new environment come first, and pip changes nothing outside of it.
        Path(own, "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        ready.write_text(requirement)
    return python


def command_of(name: str) -> list[str]:
    """Return the command of the library's page: the first that begins with ``python``."""
    page = (ROOT / "docs" / "integrations" / f"{name}.md").read_text(encoding="utf-8")
    found = re.search(r"```bash\n(?:pip [^\n]*\n)*python ((?:.|\n)*?)\n```", page)
    assert found, f"docs/integrations/{name}.md has no command"
    return found[1].replace("\\\n", " ").split()


def check(name: str) -> str | None:
    """Run a page's command; return what is wrong, or None."""
    integration = INTEGRATIONS[name]
    python = environment(name, integration.requirement)
    logs = ROOT / ".venvs" / "logs" / name
    shorter = [word.format(logs=logs) for word in integration.shorter]
    done = subprocess.run(
        [python, *command_of(name), *shorter],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return f"exit code {done.returncode}:\n{done.stdout}"
    if not re.search(integration.expected, done.stdout):
        return f"no {integration.expected!r} in what it said:\n{done.stdout}"
    return None


def main(names: list[str]) -> int:
    """Check the named libraries, or all; return 1 if one does not work, 2 for unknown names."""
    unknown = set(names) - INTEGRATIONS.keys()
    if unknown:
        print(f"error: unknown {', '.join(unknown)}; there are {', '.join(INTEGRATIONS)}")
        return 2
    failed = 0
    for name in names or INTEGRATIONS:
        problem = check(name)
        failed += problem is not None
        print(f"{name}: {problem or 'works'}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
