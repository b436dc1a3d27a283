"""What is loaded by other people's tools."""
