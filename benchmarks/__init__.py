"""Which agent finds the best compressed network, how surely, and how fast.

``python -m benchmarks run`` compares agents over seeds, ``python -m benchmarks report`` turns what
is finished into tables, pictures and a page:

    studies     runs, where they are carried out, and the folders that they are kept in
    reports     statistics of a study, its tables, figures and page
    comparison  scores over several tasks
    leaderboard submissions of others, replayed and ranked
    arguments   command lines: how they run and fail
    machine     what the figures were measured on

Beyond the search itself:

    finetuning     plans fine-tuned beside the full network, with paired intervals
    search_signal  whether a search's reward ranks plans as fine-tuning would
    signals        every ranking and recovery on the same plans
    weight_stages  weight pruning in stages
    pareto         accuracy against MACs and measured latency
    ablations      variants of our own searcher
    speed          how fast all of it is
"""

import sys

if sys.argv[:1] == ["-m"]:  # Ctrl-C is to work while a command is imported, which takes seconds
    import amc_gym  # noqa: F401
