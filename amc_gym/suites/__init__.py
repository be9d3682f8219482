"""Suites: many networks and budgets in one environment, for policies that serve on all of them.

context       one network, its data, a budget, what it counts, what is pruned
suite         contexts, of the package, of a file or made in Python
engines       engines of many networks within a bound on memory
problems      the context of each episode
environment   the environment, and what `gym.make` calls
listing       writes the bundled suites from what the zoo knows
"""
