"""How good a network is: one fast forward pass over images.

| file      | what                                                                        |
|-----------|-----------------------------------------------------------------------------|
| evaluator | plan -> accuracy on the reward images                                       |
| memory    | the plans evaluated last                                                    |
| folding   | batch norms folded into the layers before them                              |
| pointwise | 1 x 1 convolutions as matrix products                                       |
| precision | which devices compute in bfloat16                                           |
| stored    | images that stay bytes, and are normalised where they are used              |
| captured  | passes that a GPU is given as one CUDA graph                                |
| parallel  | threads that each run torch on one core                                     |
"""
