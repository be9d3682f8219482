"""Compression of modules by plans; this package knows no environment and no data set.

| file or folder | contents                                                               |
|----------------|------------------------------------------------------------------------|
| graph          | units of decision: channels that can only be pruned together           |
| tracing        | finds the units of a network                                           |
| channel_map    | channels copied to other positions, as option-A shortcuts do           |
| cost           | MACs and parameters of channel counts, in closed form                  |
| latency/       | measured latency as a cost                                             |
| slim           | the smaller network of a plan                                          |
| plan           | the decisions of an episode, and their file                            |
| ranking/       | which channels are kept                                                |
| recovery/      | how the kept weights make up for the pruned ones                       |
| pruning/       | granularities; small networks for a search                             |
| evaluation/    | scores of networks                                                     |
| handover/      | networks in files                                                      |
"""
