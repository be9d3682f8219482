"""The engine: it takes modules, statistics and plans, and knows no environment and no data set.

| file or folder | what                                                                   |
|----------------|------------------------------------------------------------------------|
| graph          | units of decision: channels that can only be pruned together           |
| tracing        | finds them in a network                                                |
| channel_map    | channels carried to other positions, as option-A shortcuts do          |
| cost           | MACs and parameters of channel counts, in closed form                  |
| latency/       | measured milliseconds as a cost                                        |
| slim           | the physically smaller network of a plan                               |
| plan           | what was decided, in a file                                            |
| ranking/       | which channels stay                                                    |
| recovery/      | how the kept weights make up for the pruned ones                       |
| pruning/       | what a granularity is; small networks for a search                     |
| evaluation/    | how good a network is                                                  |
| handover/      | networks in files                                                      |
"""
