UPDATE {{table}} SET file_name = $shown WHERE file_name = $name
