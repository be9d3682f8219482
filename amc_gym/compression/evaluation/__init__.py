"""Evaluation: the score of a network in one fast forward pass.

| file      | contents                                                                    |
|-----------|-----------------------------------------------------------------------------|
| evaluator | from plans to scores on the reward images                                   |
| memory    | scores of the latest plans                                                  |
| folding   | batch norms folded into the layers before them                              |
| pointwise | 1 x 1 convolutions as matrix products                                       |
| precision | which devices compute in bfloat16                                           |
| stored    | images that stay bytes, and are normalised when they are used               |
| captured  | passes that are launched as one CUDA graph                                  |
| parallel  | threads that each run torch on one core                                     |
"""
