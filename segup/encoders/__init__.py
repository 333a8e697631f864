"""Encoders turn an image into a pyramid of maps. They declare channels, strides and accepted sizes."""

from segup.encoders.contract import Encoder, create_encoder, encoders, list_encoders, register_encoder

__all__ = ["Encoder", "create_encoder", "encoders", "list_encoders", "register_encoder"]
