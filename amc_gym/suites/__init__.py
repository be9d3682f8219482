"""Suites: many networks and budgets in one environment, to train one policy for all of them.

context       one network, its data, a budget, the resource that it limits, and the granularity
suite         a set of contexts: bundled, from a file, or made in Python
engines       engines of many networks within a memory limit
problems      the context of each episode
environment   the environment, and what `gym.make` calls
listing       writes the bundled suites from the zoo's records
"""
