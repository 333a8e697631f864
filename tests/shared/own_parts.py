"""Which parts are segup's own: those that it makes public. Only these keep the house's conventions."""

import segup.decoders
import segup.upsamplers
from segup.decoders.contract import topology_class
from segup.upsamplers.contract import operator_class

OWN_OPERATORS = tuple(
    name for name in segup.upsamplers.list_upsamplers() if operator_class(name).__name__ in segup.upsamplers.__all__
)
OWN_TOPOLOGIES = tuple(
    name for name in segup.decoders.list_decoders() if topology_class(name).__name__ in segup.decoders.__all__
)
