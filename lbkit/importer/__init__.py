"""Configurations and logs of real systems as experiments; lines that were not understood are listed."""

from lbkit.importer.config import Imported, read_config
from lbkit.importer.found import ImportFault, printable
from lbkit.importer.log import Log, read_log
from lbkit.importer.routing import ImportedRouting, read_routing

__all__ = [
    "ImportFault",
    "Imported",
    "ImportedRouting",
    "Log",
    "printable",
    "read_config",
    "read_log",
    "read_routing",
]
