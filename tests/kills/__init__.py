"""Commands killed at random moments: nothing is lost, doubled or left over.

harness  starts a command, kills it, has the outcome checked, again and again
study    `python -m benchmarks run`
"""
