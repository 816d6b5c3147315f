"""Many workers at one database: speed, limits, faults, and the dashboard that watches them."""
