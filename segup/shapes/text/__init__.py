"""The calculus in words: layers read from text, and formulas, proofs, ladders and reports written as text."""
