"""Tracing: which channels of which layers are coupled, and what each operation costs.

One forward pass is followed operation by operation; labels say which channel each position of each
tensor is.

| file         | what                                                                       |
|--------------|----------------------------------------------------------------------------|
| labels       | classes of channels that belong together (union-find), and fixed ones      |
| rules        | what each ATen operation does with labels                                  |
| tracer       | runs the network and applies the rules                                     |
| record       | what such a pass tells                                                     |
| units        | classes that are decided together                                          |
| assembly     | the channel graph                                                          |
| verification | slim == masked, closed form == counted; what fails stays whole             |
"""

from amc_gym.compression.tracing.verification import trace, verify

__all__ = ["trace", "verify"]
