SELECT {{lane}} AS lane, * FROM attributed_outcomes({{lane}}, list_max($instants::TIMESTAMP[]))
