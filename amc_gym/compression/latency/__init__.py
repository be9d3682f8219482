"""Latency as a resource: measured on a device, stored as a table of layers, looked up quickly.

| file        | contents                                                                   |
|-------------|----------------------------------------------------------------------------|
| runtimes    | runtimes of a network: PyTorch, torch.compile, ONNX Runtime                |
| timing      | time of a pass: interleaved rounds, medians, spreads, refusals             |
| pinning     | threads on the quietest cores                                              |
| layers      | the layers of a network as modules of any channel counts                   |
| table       | times over (channels in, channels out), monotone, in a file                |
| workload    | what is measured: single layers, and whole networks of fewer channels      |
| blocks      | how many channels the runtime computes at once                             |
| measurement | measures a table on this machine                                           |
| fitting     | a table's scale and overhead, from whole networks                          |
| checking    | compares a table with whole networks that it was not fitted to             |
| bar         | the progress bar of a measurement                                          |
| cost        | a table as the resource of an environment                                  |
"""
