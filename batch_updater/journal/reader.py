"""What a journal says, while nobody or somebody else writes it."""

SCHEMA_VERSION = 4
_UPDATE = "row, order_id, status_id, expected_id, checksum"
