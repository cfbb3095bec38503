"""Configurations and logs of real systems as experiments; lines that were not understood are listed."""

from lbkit.importer.config import Imported, read_config
from lbkit.importer.found import ImportFault, printable
from lbkit.importer.log import Log, read_log

__all__ = ["ImportFault", "Imported", "Log", "printable", "read_config", "read_log"]
