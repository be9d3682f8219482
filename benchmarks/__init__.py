"""Which agent finds the best compressed network, how surely, and how fast.

``python -m benchmarks run`` compares agents over seeds, ``python -m benchmarks report`` turns what
is finished into tables, pictures and a page.  A study is a folder of runs, one JSON file each:

    runs        what is compared: settings and runs, and their keys
    execution   carrying out one run
    records     a finished run as a file, and a folder of them
    executor    jobs on this machine's cores, each in a fresh process
    progress    carrying out jobs while people watch
    ray_executor  jobs on a Ray cluster
    tensorboard_logs  a log of each run, on request
    study       run whatever a folder still lacks
    statistics  from records to one row per agent
    figures     learning curves and policies, as PNG
    sections    what is said of the runs of one setting
    report      Markdown, CSV and terminal tables
    html        the report as one self-contained page
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
