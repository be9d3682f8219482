"""The Markov decision process and nothing else."""
