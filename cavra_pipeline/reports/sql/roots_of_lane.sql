SELECT {{lane}} AS lane, * FROM subject_roots({{lane}}, $until::TIMESTAMP)
