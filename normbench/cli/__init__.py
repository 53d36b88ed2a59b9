"""Command line: parse, make a config, call, show. torch is imported inside commands only."""
