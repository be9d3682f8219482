"""A compressed network in a file that others can use.

| file    | what                                                                          |
|---------|-------------------------------------------------------------------------------|
| export  | writes, reads back and checks a hand-over                                     |
| pair    | a safetensors file and its description, which change together                 |
| formats | safetensors, torch.export and ONNX                                            |
| rebuild | a slim network as data: sizes and tensors                                     |
"""
