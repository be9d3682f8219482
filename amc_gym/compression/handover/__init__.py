"""A compressed network in a file that others can use.

| file    | what                                                                          |
|---------|-------------------------------------------------------------------------------|
| export  | writes, reads back and checks a hand-over                                     |
| formats | safetensors, torch.export and ONNX                                            |
| rebuild | a slim network as data: sizes and tensors                                     |
"""
