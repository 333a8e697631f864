"""Training and sweeps from Python: the words, folders and numbers of the command line, and its errors as exceptions."""
