"""Necks make the pyramid that a decoder takes of an encoder's maps. Their upward steps are upsampling operators.

>>> "simple_fpn" in list_necks()
True
"""

from segup.necks.contract import Neck, create_neck, list_necks, necks, register_neck

__all__ = ["Neck", "create_neck", "list_necks", "necks", "register_neck"]
