"""Bulk status updates for Evreka360 orders."""
