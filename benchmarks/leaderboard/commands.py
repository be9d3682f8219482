"""The commands validate, submit and leaderboard, for plans and for policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from tyro.conf import Positional, arg

from amc_gym._utils.files import write_whole
from amc_gym.cli.console import printer
from benchmarks.arguments import executors, split
from benchmarks.reports.escaping import terminal_text
from benchmarks.studies.runs import BenchmarkError

if TYPE_CHECKING:
    from benchmarks.leaderboard.validation import Ruling

SUBMISSIONS = Path(__file__).parent / "submissions"
POLICIES = Path(__file__).parent / "policies"
POLICY = "policy.json"


def validate(folder: Positional[Path], data_root: Path | None = None) -> int:
    """Replay every plan of a submission; the exit status is 0 if all are accepted, 1 if not.

    For a submitted policy, one episode is played.

    Args:
        folder: The submission; the exit status is 2 if the folder is not one.
        data_root: Folder of data sets that are read from disk.

    Examples:
        python -m benchmarks validate benchmarks/leaderboard/submissions/mobilenet-digits-cma-es
    """
    if (folder / POLICY).is_file():
        return _validate_policy(folder)
    ruling = _validated(folder, data_root)
    _say(ruling, printer())
    return 0 if ruling.accepted else 1


def _validate_policy(folder: Path) -> int:
    """Check that a policy loads and plays on one context; the leaderboard uses all contexts."""
    from benchmarks.leaderboard.policy_ranking import check, contexts
    from benchmarks.leaderboard.policy_submission import PolicySubmission

    submission, (context, *_) = PolicySubmission.read(folder), contexts()
    check(folder, submission, context)
    said = (
        f"accepted {submission.file}: the loader {submission.loader!r} plays it on {context.name}"
    )
    printer().print(said, highlight=False, markup=False, soft_wrap=True)
    return 0


def submit(
    results: Positional[Path],
    agent: str,
    out: Path,
    authors: Annotated[str, arg(metavar="A,B,...")],
    name: str = "",
    how: str = "",
) -> int:
    """Make a submission of the best plan of each seed of an agent.

    Args:
        results: A results folder of 'python -m benchmarks run'.
        agent: Agent of the runs.
        out: The submission's folder; new or empty.
        authors: Who found the plans, joined by commas.
        name: Name of the row in the table; by default, the agent's.
        how: How the plans were found; by default, the command that repeats the runs.

    Examples:
        python -m benchmarks submit runs/mine --agent cma-es --out mine --authors 'A. Author'
    """
    from benchmarks.leaderboard import submit as making

    people = split(authors)
    made = making.submit(results, agent, out, people, name=name, how=how)
    console = printer()
    for line in (
        f"{len(made.plans)} plans written to {out}",
        f"next: python -m benchmarks validate {out}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def leaderboard(folder: Path = SUBMISSIONS, data_root: Path | None = None) -> int:
    """Validate every submission and rank the accepted ones, in README.md beside them.

    Args:
        folder: The folder of submissions.
        data_root: Folder of data sets that are read from disk.

    Examples:
        python -m benchmarks leaderboard
    """
    from benchmarks.leaderboard.ranking import markdown

    console = printer()
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not folders:
        raise BenchmarkError(f"{folder} holds no submission; make one: python -m benchmarks submit")
    rulings, refused = {}, {}
    for path in folders:
        console.print(f"[bold]{terminal_text(path.name)}")
        try:
            rulings[path.name] = _validated(path, data_root)
        except Exception as error:  # one folder's problem must not affect the others
            known = isinstance(error, BenchmarkError | ValueError | OSError)
            refused[path.name] = str(error) if known else f"{type(error).__name__}: {error}"
            text = f"[red]left out[/] {terminal_text(refused[path.name])}"
            console.print(text, highlight=False, soft_wrap=True)
        else:
            _say(rulings[path.name], console)
    table = folder / "README.md"
    write_whole(table, markdown(rulings, refused))
    console.print(f"written to {table}", highlight=False, markup=False)
    return 0 if not refused and all(ruling.accepted for ruling in rulings.values()) else 1


def submit_policy(
    file: Positional[Path],
    out: Path,
    authors: Annotated[str, arg(metavar="A,B,...")],
    how: str,
    name: str = "",
    loader: str = "",
) -> int:
    """Make a submission of a policy for many networks.

    Args:
        file: safetensors or ONNX, see docs/leaderboard.md.
        out: The submission's folder; new or empty.
        authors: Who trained it, joined by commas.
        how: How it was trained, and on what.
        name: Name of the row in the table; by default, the file's.
        loader: amc-policy, sb3 or onnx; by default, what the file itself states.

    Examples:
        python -m benchmarks submit-policy p.onnx --out p --authors 'A. Author' --how 'PPO, zoo'
    """
    from benchmarks.leaderboard.policy_submission import submit_policy as making

    making(file, out, split(authors), name=name, how=how, loader=loader)
    said = f"written to {out}; next: python -m benchmarks validate {out}"
    printer().print(said, highlight=False, markup=False, soft_wrap=True)
    return 0


def leaderboard_policies(
    folder: Path = POLICIES,
    workers: int | None = None,
    ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None,
) -> int:
    """Evaluate every submitted policy on test networks, and rank them in README.md.

    Trials are kept in trials.parquet beside it, and are not repeated.

    Args:
        folder: The folder of submissions.
        workers: Number of parallel contexts on this machine; by default, the number of cores.
        ray: Run on a Ray cluster instead; see docs/clusters.md.

    Examples:
        python -m benchmarks leaderboard-policies
    """
    from benchmarks.leaderboard import policy_ranking
    from benchmarks.leaderboard.policy_submission import PolicySubmission
    from benchmarks.leaderboard.submission import SubmissionError
    from benchmarks.transfer import trials

    console, on = printer(), policy_ranking.contexts()
    executor = executors(workers, ray)(trials.work)
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not folders:
        raise BenchmarkError(f"{folder} holds no policy: python -m benchmarks submit-policy")
    known, refused = {}, {}
    for path in folders:
        try:
            known[path] = PolicySubmission.read(path)
            policy_ranking.check(path, known[path], on[0])
        except SubmissionError as error:
            known.pop(path, None)
            refused[path.name] = str(error)
            said = f"[red]left out[/] {terminal_text(path.name)}: {terminal_text(str(error))}"
            console.print(said, highlight=False, soft_wrap=True)
    file = folder / "trials.parquet"
    found = policy_ranking.judge(known, on, file, executor, Console(stderr=True))
    by_name = {path.name: submission for path, submission in known.items()}
    failed = policy_ranking.unfinished(found, by_name, len(on))
    found = [row for row in found if row["policy"] not in failed]
    refused |= failed
    write_whole(folder / "README.md", policy_ranking.table(found, by_name, refused))
    console.print(f"written to {folder / 'README.md'}", highlight=False, markup=False)
    return 1 if refused else 0


def _validated(folder: Path, data_root: Path | None) -> Ruling:
    from benchmarks.leaderboard.validation import validate as ruling_on

    try:
        return ruling_on(folder, data_root)
    except OSError as error:
        raise BenchmarkError(f"cannot replay {folder} here: {error}") from error


def _say(ruling: Ruling, console: Console) -> None:
    """Print one line per plan."""
    for verdict in ruling.verdicts:
        if verdict.found is None:
            text = (
                f"[red]rejected[/] {terminal_text(verdict.file)}: {terminal_text(verdict.reason)}"
            )
        else:
            found, options = verdict.found, ruling.submission.options
            text = (
                f"[green]accepted[/] {terminal_text(verdict.file)}: {found.test_accuracy:.1%} of "
                f"{ruling.test_images} test images, {found.reward_accuracy:.1%} of "
                f"{options['reward_images']} reward images, {found.macs:,} MACs, "
                f"{found.params:,} parameters"
            )
        console.print(text, highlight=False, soft_wrap=True)
