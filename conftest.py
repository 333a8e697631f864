"""Every message that a test meets is tried: see tests/messages/ways_out.py."""

pytest_plugins = ["ways_out"]
