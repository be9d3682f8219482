"""Costs of a network: MACs, parameters, or a resource of your own.

| file        | contents                                                                |
|-------------|-------------------------------------------------------------------------|
| resource    | the base class of resources, and their registry                         |
| macs        | multiply-accumulate operations                                          |
| params      | learnable parameters                                                    |
| layerwise   | a user's own resource: a function of a layer's sizes                    |
| closed_form | integer costs of any channel counts                                     |
| sparse      | costs of any numbers of weights                                         |
| counting    | costs counted on a network as it runs                                   |

Measured latency is a resource, too: see ``amc_gym.compression.latency``.
"""

from amc_gym._utils.discovery import import_modules
from amc_gym.compression.cost.counting import attention_in_steps, counted_macs, counted_params
from amc_gym.compression.cost.layerwise import LayerSize, ResourceLike, register, resource_of
from amc_gym.compression.cost.resource import REPORTED, RESOURCES, Cost, Resource, add

__all__ = [
    "REPORTED",
    "RESOURCES",
    "Cost",
    "LayerSize",
    "Resource",
    "ResourceLike",
    "add",
    "attention_in_steps",
    "counted_macs",
    "counted_params",
    "register",
    "resource_of",
]

import_modules(__name__)
