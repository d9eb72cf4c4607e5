UPDATE {{table}} SET source_file = $shown WHERE source_file = $name
