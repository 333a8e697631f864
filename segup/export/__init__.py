"""Models as one file that runs without segup: written, compared with torch, and opened again.

A ``.onnx`` file runs in onnxruntime, a ``.pt2`` file in torch. It takes images as the model does, float32 in 0 … 1, in
batches of any number and of any height and width. Normalising, extending the image and cutting the output are inside.
"""

from segup.export.exported import Exported, open_exported
from segup.export.write import export_model

__all__ = ["Exported", "export_model", "open_exported"]
