"""From channel counts to a small network with recovered weights, as fast as a search needs it.

| file         | what                                                                       |
|--------------|----------------------------------------------------------------------------|
| pruning      | what a granularity is: decisions, costs, and how a plan becomes a network  |
| channels     | channel pruning                                                            |
| weights      | weight pruning                                                             |
| fine_grained | tensors and costs of networks of single weights                            |
| slim_layers  | the tensors of one layer for any channel counts around it                  |
| cut          | what a plan drops, as entries of parameters, and the network without it    |
| pruner       | kept channels and tensors of all layers, remembered                        |
| candidates   | the network that is evaluated: tensors swapped, or built anew              |
| full_width   | the weight of one layer with zeros for pruned inputs, on a device          |
| resident     | one network of full width into which plans are written, for GPUs           |
| agreement    | whether it computes what the network that is handed over computes          |
"""

from amc_gym.compression.pruning.channels import ChannelPruning
from amc_gym.compression.pruning.pruning import Pruning, Statistics
from amc_gym.compression.pruning.weights import WeightPruning

PRUNINGS: dict[str, type[Pruning]] = {
    pruning.granularity: pruning for pruning in (ChannelPruning, WeightPruning)
}
"""Granularity -> what it means."""

__all__ = ["PRUNINGS", "ChannelPruning", "Pruning", "Statistics", "WeightPruning"]
