"""What a folder of unknown layout holds, and how ``data=folder`` reads it."""
