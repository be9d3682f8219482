"""Tracing: which channels of which layers are coupled, and what each operation costs.

One forward pass is followed operation by operation; labels identify the channel of each position of
each tensor.

| file         | contents                                                                   |
|--------------|----------------------------------------------------------------------------|
| labels       | classes of channels that belong together (union-find), and fixed ones      |
| rules        | what each ATen operation does with labels                                  |
| tracer       | runs the network and applies the rules                                     |
| record       | what is recorded during the pass                                           |
| units        | groups of classes that are decided together                                |
| assembly     | the channel graph                                                          |
| verification | checks that slim == masked and closed form == counted                      |
"""

from amc_gym.compression.tracing.verification import trace, verify

__all__ = ["trace", "verify"]
