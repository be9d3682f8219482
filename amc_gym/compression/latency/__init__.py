"""Latency as a resource: measured on a device, kept as a table per layer, asked in microseconds.

| file        | what                                                                       |
|-------------|----------------------------------------------------------------------------|
| runtimes    | what runs a network: PyTorch, torch.compile, ONNX Runtime                  |
| timing      | how long a pass takes: interleaved rounds, medians, spreads, refusals      |
| layers      | the layers of a network as modules of any channel counts                   |
| table       | times over (channels in, channels out), monotone, in a file                |
| measurement | makes a table on this machine, and checks one against whole networks       |
| cost        | a table as the resource of an environment                                  |
"""
