"""The sizes of foreign modules: the size calculus applied to any torch module.

How a trace becomes a proof, step by step:

1. :mod:`copies` copies the model without its weights.
2. :mod:`trace` runs the copy on shapes alone. The model's code gets a :class:`TracedSize` (:mod:`traced`) for every
   size: it passes for an int, and knows itself as a function of the input's size (:mod:`periodic`).
3. :mod:`shape_mode` sees each torch function and gives its result the shape that :mod:`shape_rules` says. Common
   layers need no kernel of torch's for that (:mod:`without_kernels`). :mod:`handed` brings it the calls that torch's
   parser would refuse, for it takes plain numbers alone (``torch.arange(height)``).
4. :mod:`record` keeps what the run did with sizes: each comparison is a decision. Whatever else gives the code a number
   that depends on a size is a loss, and a run with a loss proves nothing. :mod:`watched` finds losses that no torch
   function shows.
5. :mod:`proof` takes the decisions of all runs as code paths, and knows from which size on these repeat; what is asked
   of height and width at once is kept beside that.
6. :mod:`verify` compares what follows with real runs of the model (:mod:`real_model`).
7. :mod:`check` does all of this for :func:`check_sizes`, and :mod:`report` says what came out.
8. :mod:`calls` keeps, for those who ask, what each call reads of the maps before it; :mod:`model_map` makes it data.

:mod:`size_map` reads one layer's rule off its parameters. :mod:`tried` finds the sizes that an encoder accepts
(:mod:`accepted`) and how many tokens of an image attend to each other (:mod:`attention`), and :mod:`stages` reads the
sizes of its maps.
"""

from segup.inspection.accepted import AcceptedSizes
from segup.inspection.check import check_sizes
from segup.inspection.report import AxisReport, Failure, SizeReport
from segup.inspection.size_map import size_map
from segup.inspection.stages import feature_sizes, inverse_of, rounding_of, stage_rules

__all__ = [
    "AcceptedSizes",
    "AxisReport",
    "Failure",
    "SizeReport",
    "check_sizes",
    "feature_sizes",
    "inverse_of",
    "rounding_of",
    "size_map",
    "stage_rules",
]
