"""Encoders turn an image into a pyramid of maps. They declare channels, strides and accepted sizes."""

from segup.encoders.contract import Encoder, encoders, register_encoder
from segup.encoders.create import create_encoder, list_encoders
from segup.encoders.weights import WeightsReport, load_weights

__all__ = [
    "Encoder",
    "WeightsReport",
    "create_encoder",
    "encoders",
    "list_encoders",
    "load_weights",
    "register_encoder",
]
