"""Studies as data: ``python -m benchmarks reproduce NAME`` carries out what a config says.

configs    what a study is, and reading `benchmarks/configs/*.toml`
finished   how much of a step there is already
command    showing a study, and carrying it out step by step
"""
