"""Encoders: image in, pyramid out; channels, strides and accepted sizes declared."""

from segup.encoders.contract import Encoder, create_encoder, encoders, list_encoders

__all__ = ["Encoder", "create_encoder", "encoders", "list_encoders"]
