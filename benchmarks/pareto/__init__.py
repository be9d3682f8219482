"""Accuracy against MACs and against measured latency, over budgets: the paper's figure 5.

    python -m benchmarks.pareto --out FOLDER

Searches for each budget in MACs and in latency, fine-tunes every plan and the full network alike,
times all networks end to end in turns, and draws the fronts.  All finished work is kept.
"""
