"""Which networks can be compressed: the tracer and Torch-Pruning tried on many networks.

catalogue  the networks
ours       the tracer's result for a network
peer       Torch-Pruning's result for a network
"""
