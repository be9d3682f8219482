"""How the kept weights make up for the pruned ones, without a training step.

| file           | what                                                                   |
|----------------|------------------------------------------------------------------------|
| steps          | recoveries by name, joined by "+"                                      |
| statistics     | what calibration images tell: Gram matrices, saliencies                |
| reconstruction | nested least squares: a layer reproduces its original output           |
| sequential     | the same on what the pruned layers before it produce                   |
| nonlinear      | the same behind a ReLU                                                 |
| shortcuts      | what a layer's output is added to, whose errors it can make up for     |
"""
