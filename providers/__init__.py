"""Carrier adapters and the carrier simulator."""
