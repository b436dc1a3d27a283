"""Results as tables, pictures, pages and folders: plain data, no run."""
