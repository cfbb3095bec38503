"""The backends' side: kept connections, health checks and load reports."""
