"""``python -m benchmarks zoo``: trains every small network of the generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from amc_gym._utils.progress import counter
from amc_gym.cli.console import printer
from benchmarks.studies.runs import BenchmarkError

if TYPE_CHECKING:
    from amc_gym.zoo.small import Card


def zoo(
    out: Path = Path("runs/zoo"),
    only: Annotated[str, arg(metavar="TEXT")] = "",
    each: int | None = None,
    rerun: bool = False,
) -> int:
    """Train the zoo of small networks, and choose the budget of each.

    Networks that the folder already holds are skipped, so that an interrupted run continues where
    it stopped.  To bundle them with the package, copy both files of the folder to
    amc_gym/zoo/small/trained.

    Args:
        out: Folder for the weights and the cards.
        only: Only networks with this text in their names.
        each: Number of networks of each family on each data set; by default, as many as are
            bundled.
        rerun: Train networks again that the folder holds.

    Examples:
        python -m benchmarks zoo --only plain --out runs/zoo
    """
    # Imported here, so that other commands do not wait for them.
    from amc_gym.zoo.small.generator import EACH, draw, names
    from amc_gym.zoo.small.store import held, put
    from benchmarks.zoo.training import judged, trained

    wanted = [name for name in names(EACH if each is None else each) if only in name]
    if not wanted:
        raise BenchmarkError(f"no network has {only!r} in its name: names are like plain-digits-0")
    known = held(out)
    done = set() if rerun else {*known.networks, *known.left_out}
    console = printer()
    with counter() as bar:
        count = bar.add_task("zoo", total=len(wanted))
        for name in wanted:
            if name not in done:

                def report_epoch(epoch: int, name: str = name) -> None:
                    bar.update(count, description=f"{name}, epoch {epoch}")

                member = draw(name)
                model, recipe, seconds = trained(member, report_epoch)
                made = judged(member, model, recipe, seconds)
                left_out = isinstance(made, str)
                put(out, name, made, None if left_out else model)
                said = f"left out, {made}" if left_out else _said(made)
                console.print(f"{name}: {said}", highlight=False, soft_wrap=True)
            bar.advance(count)
    return 0


def _said(card: Card) -> str:
    """Return the line about a network."""
    return (
        f"{card.parameters:,} parameters, {card.accuracy['reward'].top1:.1%} of the reward images; "
        f"uniform at {card.preserve_ratio:.0%} loses {card.uniform_loss:.1f} points; "
        f"{card.seconds:.0f} s"
    )
