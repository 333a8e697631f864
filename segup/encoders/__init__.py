"""Encoders: image in, pyramid out; channels, strides and accepted sizes declared."""

from segup.encoders.contract import Encoder, create_encoder, encoders, list_encoders, register_encoder

__all__ = ["Encoder", "create_encoder", "encoders", "list_encoders", "register_encoder"]
