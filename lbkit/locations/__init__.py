"""Databases of the locations of IP addresses, in the MaxMind DB format of GeoLite2, DB-IP and others."""

from lbkit.locations.database import LocationDatabase
from lbkit.locations.writer import write_database

__all__ = ["LocationDatabase", "write_database"]
