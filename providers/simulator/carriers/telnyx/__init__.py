"""Telnyx as the simulator plays it: Call Control v2."""
