"""Everything that knows a name i'mport invented."""
