"""Evaluation: a trained model scored on a data set, and used on images of any size."""
