"""Studies as data: ``python -m benchmarks reproduce NAME`` executes a config.

configs    the steps of a study, read from `benchmarks/configs/*.toml`
finished   how much of a step is finished already
command    shows a study, and executes it step by step
"""
