"""Fixtures, stand-ins and small settings that tests share."""
