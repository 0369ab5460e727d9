"""Everything that enters or changes state: commands, stream workers, jobs, importers."""
