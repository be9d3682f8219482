"""Hand-over: a compressed network in a file that others can use.

| file    | contents                                                                      |
|---------|-------------------------------------------------------------------------------|
| export  | writes a network, reads it back and checks it                                 |
| pair    | a safetensors file and its description, which change together                 |
| formats | safetensors, torch.export and ONNX                                            |
| rebuild | a slim network as data: sizes and tensors                                     |
"""
