"""The live page: its arithmetic, its look, and how it is put together."""
