"""Agents over several tasks: scores that can be averaged, and what their spread allows to say.

    python -m benchmarks compare FOLDER... --out FOLDER

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS
2021, is where the measures are from: interquartile means with stratified bootstrap intervals,
probability of improvement, performance profiles, sample-efficiency curves.
"""
