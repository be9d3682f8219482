"""From channel counts to a small network with recovered weights, as fast as a search needs it.

| file        | what                                                                      |
|-------------|---------------------------------------------------------------------------|
| slim_layers | the tensors of one layer for any channel counts around it                 |
| pruner      | kept channels and tensors of all layers, remembered                       |
| candidates  | the network that is evaluated: tensors swapped, or built anew             |
"""
