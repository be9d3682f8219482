"""From channel counts to a small network with recovered weights, as fast as a search needs it.

| file         | contents                                                                   |
|--------------|----------------------------------------------------------------------------|
| pruning      | the base class of granularities: decisions, costs, and networks of plans   |
| channels     | channel pruning                                                            |
| weights      | weight pruning                                                             |
| fine_grained | tensors and costs of sparse networks                                       |
| slim_layers  | the tensors of one layer for any channel counts around it                  |
| cut          | the parameter entries that a plan drops, and the network without them      |
| pruner       | kept channels and tensors of all layers, remembered                        |
| candidates   | the network that is evaluated: tensors swapped, or built anew              |
| full_width   | the weight of one layer with zeros for pruned inputs, on a device          |
| resident     | one network of full width into which plans are written, for GPUs           |
| agreement    | checks that the evaluated network equals the one that is handed over       |
"""

from amc_gym.compression.pruning.channels import ChannelPruning
from amc_gym.compression.pruning.pruning import Pruning, Statistics
from amc_gym.compression.pruning.weights import WeightPruning

PRUNINGS: dict[str, type[Pruning]] = {
    pruning.granularity: pruning for pruning in (ChannelPruning, WeightPruning)
}
"""Granularity -> its class."""

__all__ = ["PRUNINGS", "ChannelPruning", "Pruning", "Statistics", "WeightPruning"]
