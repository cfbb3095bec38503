"""Files that say where addresses are: MaxMind's format, which GeoLite2, DB-IP and others use."""

from lbkit.locations.database import LocationDatabase
from lbkit.locations.writer import write_database

__all__ = ["LocationDatabase", "write_database"]
