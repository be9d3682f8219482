"""Which networks can be compressed: the tracer and Torch-Pruning on many of them.

catalogue  the networks
ours       what the tracer says of one
peer       what Torch-Pruning does with one
"""
