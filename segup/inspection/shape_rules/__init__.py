"""How the shape of a result follows from those of the arguments, for the functions of torch that the calculus knows.

A rule takes the :class:`Sizes` of the run and the arguments of torch's function, by torch's names. It returns the shape
of the result, or a list of shapes for several results.
"""

from collections.abc import Mapping
from types import MappingProxyType

from segup.inspection.shape_rules import creation, elementwise, parts, products, reductions, resizes, views, windows
from segup.inspection.shape_rules.sizes import Rule

_PARTS = (elementwise, reductions, products, creation, views, parts, resizes, windows)
SHAPE_RULES: Mapping[str, Rule] = MappingProxyType({name: rule for part in _PARTS for name, rule in part.RULES.items()})
"""The rules by the names of torch's functions."""
