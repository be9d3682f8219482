"""The Markov decision process: environments, budgets, actions, observations and rewards."""
