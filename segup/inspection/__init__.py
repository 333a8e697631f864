"""The size calculus applied to any torch module.

How a run becomes a proof: :mod:`trace` runs a copy without weights, to whose code every size is a :class:`TracedSize`.
:mod:`follow` sees each torch function and gives its result the shape that the function's rule says, the requirements
of torch noted as decisions. Whatever else gives the code a number that depends on a size is noted as a loss, and a run
with a loss proves nothing; :mod:`watched` finds what would be learnt unseen. :mod:`cover` takes the decisions of all
runs as ways through the model, and knows from which size on these repeat. :mod:`verify` compares what follows with
real runs of the model (:mod:`plain`), and :mod:`check` reports.
"""

from segup.inspection.check import check_sizes
from segup.inspection.features import Pyramid, feature_sizes, probe_pyramid
from segup.inspection.report import AxisReport, Failure, SizeReport
from segup.inspection.rules import inverse_of, rounding_of, stage_rules
from segup.inspection.size_map import size_map

__all__ = [
    "AxisReport",
    "Failure",
    "Pyramid",
    "SizeReport",
    "check_sizes",
    "feature_sizes",
    "inverse_of",
    "probe_pyramid",
    "rounding_of",
    "size_map",
    "stage_rules",
]
