"""Comparison of agents over several tasks, by scores that can be averaged, with intervals.

    python -m benchmarks compare FOLDER... --out FOLDER

The measures are those of Agarwal et al., "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", NeurIPS 2021: interquartile means with stratified bootstrap intervals,
probability of improvement, performance profiles, sample-efficiency curves.
"""
